package instance

import (
	"context"
	"fmt"
	"time"

	"quorate/pgctl/postgres"
)

// Source is another server of the cluster as its replication connection shows it.
type Source struct {
	SystemID string
	Timeline postgres.Timeline
	LSN      postgres.LSN // how far its log is on its disk
	History  postgres.History
}

// ReadSource asks a server who it is and how its timeline came about, by the replication account.
func (i *Instance) ReadSource(ctx context.Context, host string, port int) (Source, error) {
	s, err := i.dial(ctx, target{
		host: host, port: port, account: i.accounts().Replication, app: appName, params: map[string]string{"replication": "true"},
	})
	if err != nil {
		return Source{}, fmt.Errorf("replication connection to %s:%d: %w", host, port, err)
	}
	defer s.close()
	src, err := s.identify(ctx)
	if err != nil {
		return src, err
	}
	src.History = postgres.History{Timeline: src.Timeline}
	if src.Timeline == 1 {
		return src, nil
	}
	row, err := s.one(ctx, fmt.Sprintf("TIMELINE_HISTORY %d", src.Timeline))
	if err != nil {
		return src, fmt.Errorf("history of timeline %d of %s:%d: %w", src.Timeline, host, port, err)
	}
	if len(row) != 2 {
		return src, fmt.Errorf("TIMELINE_HISTORY answered with %d columns", len(row))
	}
	src.History, err = postgres.ParseHistory(src.Timeline, row[1])
	return src, err
}

// identifyLocal asks the local server the same, by the superuser.
func (i *Instance) identifyLocal(ctx context.Context) (Source, error) {
	s, err := i.local(ctx, appName, map[string]string{"replication": "true"})
	if err != nil {
		return Source{}, err
	}
	defer s.close()
	return s.identify(ctx)
}

func (s *session) identify(ctx context.Context) (src Source, err error) {
	row, err := s.one(ctx, "IDENTIFY_SYSTEM")
	if err != nil {
		return src, err
	}
	if len(row) < 3 {
		return src, fmt.Errorf("IDENTIFY_SYSTEM answered with %d columns", len(row))
	}
	src.SystemID = row[0]
	if src.Timeline, err = parseTimeline(row[1]); err != nil {
		return src, err
	}
	src.LSN, err = postgres.ParseLSN(row[2])
	return src, err
}

// checkpointPoll is how often a promoted server is asked whether its checkpoint is done.
const checkpointPoll = 200 * time.Millisecond

// awaitSourceCheckpoint waits until the source's control file knows its timeline. Before version 16 pg_rewind takes the timeline from
// there, and would find nothing to do.
func (i *Instance) awaitSourceCheckpoint(ctx context.Context, host string, port int, want postgres.Timeline) error {
	s, err := i.dial(ctx, target{host: host, port: port, account: i.accounts().Rewind, database: i.settings().Database, app: appName})
	if err != nil {
		return fmt.Errorf("connection for the rewind to %s:%d: %w", host, port, err)
	}
	defer s.close()
	for {
		row, err := s.one(ctx, "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()")
		if err != nil {
			return err
		}
		if t, err := parseTimeline(row[0]); err != nil || t >= want {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the checkpoint after the promotion of %s:%d: %w", host, port, context.Cause(ctx))
		case <-time.After(checkpointPoll):
		}
	}
}
