package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"quorate/pgctl/postgres"
)

// Promotion is what a promotion made.
type Promotion struct {
	History postgres.History // of the new timeline: its Begin is where it left the old one
	Took    time.Duration    // from the signal until writes were accepted
}

// Promote makes the standby a primary. First names are put in effect, so that no commit of the new primary is acknowledged by
// fewer than they ask for; then it is promoted, and standby.signal is put back. It returns when writes are accepted. The
// checkpoint that others need for a rewind from here (before version 16) goes on behind it: see Checkpointing.
func (i *Instance) Promote(ctx context.Context, names postgres.SyncNames) (p Promotion, err error) {
	done, err := i.begin("promote")
	if err != nil {
		return p, err
	}
	defer done(&err)
	s, err := i.local(ctx, appName, nil)
	if err != nil {
		return p, err
	}
	defer s.close()
	standby, err := s.inRecovery(ctx)
	if err != nil {
		return p, err
	}
	if !standby {
		return p, ErrNotStandby
	}
	if err := errors.Join(i.openArchive(ctx), i.unshelveHistories()); err != nil {
		return p, err
	}
	if err := i.applyNames(ctx, s, names); err != nil {
		return p, fmt.Errorf("synchronous_standby_names: %w", err)
	}
	startup, err := s.process(ctx, "startup")
	if err != nil {
		return p, err
	}
	began := time.Now() // carries the monotonic clock; a measure, no deadline
	if err := i.signalPromotion(ctx); err != nil {
		return p, err
	}
	if err := i.awaitWritable(ctx, s, startup.pid); err != nil {
		return p, err
	}
	p.Took = time.Since(began)
	p.History, err = i.promoted(ctx, s)
	return p, err
}

// openArchive gives a standby that was cut off or kept away its restore_command back: a promotion looks in the archive for a timeline number that is
// not taken.
func (i *Instance) openArchive(ctx context.Context) error {
	i.confMu.Lock()
	needed := (i.cut || i.closed) && merged(i.conf.Recovery, i.upstream.Recovery)["restore_command"] != ""
	i.cut, i.closed = false, false
	i.confMu.Unlock()
	if !needed {
		return nil
	}
	return i.rewrite(ctx)
}

// signalPromotion is what pg_ctl promote does: a file, then a signal that makes the startup process look for it.
func (i *Instance) signalPromotion(ctx context.Context) error {
	path := i.dataPath(promoteSignal)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := i.own(path); err != nil {
		return err
	}
	if err := i.opt.Supervisor.Signal(ctx, syscall.SIGUSR1); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// awaitWritable waits for the end of recovery on a connection that was open before. It wakes the startup process at each look: one whose
// upstream was lost a moment ago notices the request, and then still sleeps out wal_retrieve_retry_interval before it looks for the
// last log in the archive and ends recovery (xlogrecovery.c, WaitForWALToBecomeAvailable).
func (i *Instance) awaitWritable(ctx context.Context, s *session, startup int) error {
	fd, err := unix.PidfdOpen(startup, 0) // no other process can take the number's place
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	lives := err == nil
	if lives {
		defer unix.Close(fd)
	}
	t := time.NewTicker(confPoll)
	defer t.Stop()
	for {
		standby, err := s.inRecovery(ctx)
		if err != nil {
			return err
		}
		if !standby {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotReady, context.Cause(ctx))
		case <-t.C:
			if lives {
				_ = unix.PidfdSendSignal(fd, unix.SIGUSR2, nil, 0) // one that has ended meanwhile needs none
			}
		}
	}
}

// promoted leaves the folder as that of a primary which nothing starts as one, and learns what the promotion made of the history.
func (i *Instance) promoted(ctx context.Context, s *session) (postgres.History, error) {
	if err := i.atRest(); err != nil {
		return postgres.History{}, err
	}
	i.confMu.Lock()
	i.upstream, i.role, i.raised = postgres.Upstream{}, rolePrimary, nil
	i.confMu.Unlock()
	t, err := s.primaryTimeline(ctx)
	if err != nil {
		return postgres.History{}, err
	}
	i.checkpointBehind(t)
	return i.LocalHistory(t)
}

// primaryTimeline is the timeline that a primary writes, by the name of the file that it writes to: the control file has it only
// after the next checkpoint.
func (s *session) primaryTimeline(ctx context.Context) (postgres.Timeline, error) {
	row, err := s.one(ctx, "SELECT "+timelineSQL)
	if err != nil {
		return 0, err
	}
	return parseTimeline(row[0])
}

const timelineSQL = `('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::pg_catalog.bit(32)::pg_catalog.int8`

// Checkpointing says whether the checkpoint after the last promotion is still going on.
func (i *Instance) Checkpointing() bool {
	i.stateMu.Lock()
	defer i.stateMu.Unlock()
	return i.checkpointing
}

// checkpointBehind takes the former upstream out of the configuration and makes the checkpoint after a promotion.
func (i *Instance) checkpointBehind(t postgres.Timeline) {
	i.stateMu.Lock()
	i.checkpointing = true
	i.stateMu.Unlock()
	i.wg.Go(func() {
		err := errors.Join(i.rewrite(i.life), i.Checkpoint(i.life))
		i.stateMu.Lock()
		i.checkpointing = false
		i.stateMu.Unlock()
		if err != nil && i.life.Err() == nil {
			i.log.Warn("checkpoint after the promotion failed", "timeline", t, "err", err)
		}
	})
}
