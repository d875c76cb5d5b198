package instance

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"quorate/pgctl/postgres"
)

// confPoll is how often it is asked whether a reload has taken effect.
const confPoll = 5 * time.Millisecond

// SetSynchronous sets synchronous_standby_names on the running server and returns when commits wait by it.
func (i *Instance) SetSynchronous(ctx context.Context, names postgres.SyncNames) error {
	s, err := i.local(ctx, appName, nil)
	if err != nil {
		return fmt.Errorf("synchronous_standby_names: %w", err)
	}
	defer s.close()
	if err := i.applyNames(ctx, s, names); err != nil {
		return fmt.Errorf("synchronous_standby_names: %w", err)
	}
	i.stirStandbys(ctx, s)
	return nil
}

// stirStandbys makes the standbys reply now. Commits that wait are looked at only when one does (syncrep.c, SyncRepReleaseWaiters); while
// all commits wait nothing is flushed, and the next reply comes with wal_receiver_status_interval. It is a hint: it may fail.
func (i *Instance) stirStandbys(ctx context.Context, s *session) {
	if err := s.exec(ctx, "SET synchronous_commit = local"); err != nil {
		return
	}
	_ = s.exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'quorate', '')")
}

// applyNames sets the names and waits until they are in effect. Backends see the value as soon as they read the file again. Whether a
// commit waits at all, however, is a flag in shared memory that the checkpointer sets when it reads the file (syncrep.c,
// SyncRepUpdateSyncStandbysDefined): until then commits are acknowledged as if no names were set.
func (i *Instance) applyNames(ctx context.Context, s *session, names postgres.SyncNames) error {
	want := names.String()
	have, err := s.show(ctx, "synchronous_standby_names")
	if err != nil {
		return err
	}
	i.setNames(names)
	if have == want {
		return nil
	}
	before, err := s.process(ctx, "checkpointer")
	if err != nil {
		return err
	}
	if err := i.rewrite(ctx); err != nil {
		return err
	}
	if err := s.awaitSetting(ctx, "synchronous_standby_names", want); err != nil {
		return err
	}
	return s.poll(ctx, func() (bool, error) {
		now, err := s.process(ctx, "checkpointer")
		return now.hasReread(before), err
	})
}

// process is one of the server's own processes.
type process struct {
	pid     int
	wait    string // wait_event
	wakeups int64
}

func (s *session) process(ctx context.Context, kind string) (process, error) {
	rows, err := s.rows(ctx, "SELECT pid, wait_event FROM pg_catalog.pg_stat_activity WHERE backend_type = "+literal(kind))
	if err != nil || len(rows) == 0 {
		return process{}, err
	}
	pid, err := strconv.Atoi(rows[0][0])
	return process{pid: pid, wait: rows[0][1], wakeups: wakeups(pid)}, err
}

// hasReread says whether the checkpointer, as it was seen before a reload, must have read the configuration since: it reads it on each turn
// of its loop, and in the delays between the writes of a checkpoint, where the reading comes before the delay.
func (p process) hasReread(before process) bool {
	if p.pid != before.pid || p.wakeups < 0 {
		return p.pid != 0 // a new one has begun with the new file
	}
	turns := p.wakeups - before.wakeups
	return p.wait == "CheckpointerMain" && turns >= 1 || p.wait == "CheckpointWriteDelay" && turns >= 2
}

func (s *session) show(ctx context.Context, name string) (string, error) {
	row, err := s.one(ctx, "SHOW "+ident(name))
	if err != nil {
		return "", err
	}
	return row[0], nil
}

// awaitSetting waits until the session sees the value: it reads the file again before each statement once the postmaster told it to.
func (s *session) awaitSetting(ctx context.Context, name, want string) error {
	var have string
	err := s.poll(ctx, func() (ok bool, err error) {
		have, err = s.show(ctx, name)
		return have == want, err
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s is %q and not %q: is it set in %s or by a command line argument? %w", name, have, want, autoConfFile, err)
	}
	return err
}

// poll asks until it is answered with true.
func (s *session) poll(ctx context.Context, ask func() (bool, error)) error {
	t := time.NewTicker(confPoll)
	defer t.Stop()
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}
