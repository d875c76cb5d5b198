package instance

import (
	"context"
	"fmt"

	"quorate/pgctl/postgres"
)

// WALCheck compares the local log with another server's.
type WALCheck struct {
	Source  Source
	History postgres.History // the local one
	// End is how far the local log goes. Of a folder at rest whose log ends before the fork it is the fork.
	End postgres.LSN
	postgres.Divergence
}

// CheckWAL says whether this PostgreSQL, running or stopped, can follow the server at host and port, or has log that the other's history
// has not. ErrNotSameCluster: the other is of another cluster.
func (i *Instance) CheckWAL(ctx context.Context, host string, port int) (WALCheck, error) {
	var w WALCheck
	var err error
	if w.Source, err = i.ReadSource(ctx, host, port); err != nil {
		return w, fmt.Errorf("compare WAL: %w", err)
	}
	c, err := i.ControlData(ctx)
	if err != nil {
		return w, fmt.Errorf("compare WAL: %w", err)
	}
	if c.SystemID != w.Source.SystemID {
		return w, fmt.Errorf("compare WAL: %w: %s:%d is of %s, %s is of %s", ErrNotSameCluster, host, port, w.Source.SystemID, i.opt.DataDir, c.SystemID)
	}
	if w.History, w.End, err = i.logEnd(ctx, w.Source.History); err != nil {
		return w, fmt.Errorf("compare WAL: %w", err)
	}
	if w.Divergence, err = postgres.Diverge(w.History, w.End, w.Source.History); err != nil {
		return w, fmt.Errorf("compare WAL: %w", err)
	}
	return w, nil
}

// logEnd is the end of the local log, asked of the server when one runs, else read from the files as far as the other history calls for.
func (i *Instance) logEnd(ctx context.Context, other postgres.History) (h postgres.History, end postgres.LSN, err error) {
	pid, err := i.opt.Supervisor.Running(ctx)
	if err != nil {
		return h, 0, err
	}
	if pid == 0 {
		return i.localEndFrom(ctx, other)
	}
	s, err := i.local(ctx, appName, nil)
	if err != nil {
		return h, 0, err
	}
	defer s.close()
	standby, err := s.inRecovery(ctx)
	if err != nil {
		return h, 0, err
	}
	if !standby {
		return i.primaryEnd(ctx, s)
	}
	r, err := s.replica(ctx)
	if err != nil {
		return h, 0, err
	}
	p, err := i.position(ctx, s, r)
	return p.History, p.Flush, err
}

func (i *Instance) primaryEnd(ctx context.Context, s *session) (h postgres.History, end postgres.LSN, err error) {
	row, err := s.one(ctx, "SELECT "+timelineSQL+", pg_catalog.pg_current_wal_lsn()")
	if err != nil {
		return h, 0, err
	}
	t, err := parseTimeline(row[0])
	if err != nil {
		return h, 0, err
	}
	if end, err = postgres.ParseLSN(row[1]); err != nil {
		return h, 0, err
	}
	h, err = i.LocalHistory(t)
	return h, end, err
}
