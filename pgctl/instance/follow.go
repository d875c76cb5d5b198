package instance

import (
	"context"
	"fmt"

	"quorate/pgctl/postgres"
)

// Follow points the running standby at an upstream, and returns when the server has been told. Its WAL receiver changes over by
// itself, without a restart (from version 13 on); the Monitor shows when it streams.
func (i *Instance) Follow(ctx context.Context, up postgres.Upstream) (err error) {
	done, err := i.begin("follow")
	if err != nil {
		return err
	}
	defer done(&err)
	if _, err := i.PassFile(); err != nil {
		return err
	}
	v, err := i.Version(ctx)
	if err != nil {
		return err
	}
	if !v.ConninfoReloads() {
		if err := i.stop(ctx, StopOptions{Mode: StopFast}); err != nil {
			return err
		}
		return i.startStandby(ctx, up)
	}
	i.setUpstream(up)
	return i.rewrite(ctx)
}

// Position is how far a standby has the log on its own disk.
type Position struct {
	Timeline postgres.Timeline
	History  postgres.History
	Flush    postgres.LSN // nothing behind it will come from the upstream any more
	Replay   postgres.LSN
}

// StopReceiver makes the standby take nothing more from its upstream, and tells what it holds after that. When it returns without
// error the WAL receiver has gone and the startup process knows no upstream to start another for, so that the standby acknowledges
// nothing any more. Follow undoes it.
func (i *Instance) StopReceiver(ctx context.Context) (p Position, err error) {
	done, err := i.begin("stop receiver")
	if err != nil {
		return p, err
	}
	defer done(&err)
	s, err := i.local(ctx, appName, nil)
	if err != nil {
		return p, err
	}
	defer s.close()
	if standby, err := s.inRecovery(ctx); err != nil || !standby {
		return p, orError(err, ErrNotStandby)
	}
	before, err := s.replica(ctx)
	if err != nil {
		return p, err
	}
	if err := i.cutOff(ctx, s); err != nil {
		return p, err
	}
	after, err := i.awaitNoReceiver(ctx, s, before)
	if err != nil {
		return p, err
	}
	return i.position(ctx, s, after)
}

// cutOff takes upstream and archive out of the configuration: what an old primary still archives could lead past the point where the new
// one's history begins.
func (i *Instance) cutOff(ctx context.Context, s *session) error {
	v, err := i.Version(ctx)
	if err != nil {
		return err
	}
	i.confMu.Lock()
	i.upstream, i.cut = postgres.Upstream{}, true
	i.confMu.Unlock()
	if err := i.rewrite(ctx); err != nil {
		return err
	}
	if v.RestoreCommandReloads() {
		if err := s.awaitSetting(ctx, "restore_command", ""); err != nil {
			return err
		}
	}
	return s.awaitSetting(ctx, "primary_conninfo", "")
}

func orError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// position tells what a standby without a receiver holds.
func (i *Instance) position(ctx context.Context, s *session, r replica) (Position, error) {
	t, err := i.standbyTimeline(ctx, s)
	if err != nil {
		return Position{}, err
	}
	p := Position{Timeline: t, Flush: max(r.received, r.replayed), Replay: r.replayed}
	if p.History, err = i.LocalHistory(t); err != nil {
		return Position{}, err
	}
	if !r.streamed && !r.atEnd() {
		// It has not streamed since its start: the log that it had then is still being replayed, and reaches further than that.
		end, err := i.walEnd(ctx, p.History, r.replayed)
		if err != nil {
			return Position{}, err
		}
		p.Flush = max(p.Flush, end.LSN)
	}
	return p, nil
}

// standbyTimeline asks for the timeline in the way of replication clients; no function tells it on a standby without a receiver.
func (i *Instance) standbyTimeline(ctx context.Context, s *session) (postgres.Timeline, error) {
	id, err := i.identifyLocal(ctx)
	if err == nil {
		return id.Timeline, nil
	}
	i.log.Debug("no replication connection to the local server: the control file tells the timeline", "err", err)
	row, errSQL := s.one(ctx, "SELECT greatest((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()))")
	if errSQL != nil {
		return 0, fmt.Errorf("%w; %w", err, errSQL)
	}
	return parseTimeline(row[0])
}
