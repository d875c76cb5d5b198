package instance

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	"quorate/pgctl/postgres"
)

// replica is the part of a standby that takes the log in.
type replica struct {
	receiver int // process number of the WAL receiver, 0 for none
	startup  process
	streamed bool // it has streamed since its start
	received postgres.LSN
	replayed postgres.LSN
}

const replicaSQL = `SELECT
 (SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walreceiver'),
 (SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'startup'),
 (SELECT wait_event FROM pg_catalog.pg_stat_activity WHERE backend_type = 'startup'),
 pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()`

func (s *session) replica(ctx context.Context) (replica, error) {
	row, err := s.one(ctx, replicaSQL)
	if err != nil {
		return replica{}, err
	}
	var r replica
	r.receiver, _ = strconv.Atoi(row[0])
	r.startup.pid, _ = strconv.Atoi(row[1])
	r.startup.wait = row[2]
	r.startup.wakeups = wakeups(r.startup.pid)
	r.streamed = row[3] != ""
	r.received, _ = postgres.ParseLSN(row[3])
	r.replayed, _ = postgres.ParseLSN(row[4])
	return r, nil
}

// atEnd says whether the startup process has replayed all log that there is and waits for its next attempt to find more.
func (r replica) atEnd() bool {
	return r.startup.wait == "RecoveryRetrieveRetryInterval" || r.startup.wait == "RecoveryWalStream" || r.startup.wait == "RecoveryWalAll"
}

// blocked says whether replay waits for queries of the standby to end.
func (r replica) blocked() bool {
	return strings.HasPrefix(r.startup.wait, "RecoveryConflict") || r.startup.wait == "BufferPin" || r.startup.wait == "relation"
}

// rereadSince says whether the startup process has come round its loop, where it reads the configuration, since it was seen as before.
func (r replica) rereadSince(before replica) bool {
	return r.startup.pid != before.startup.pid || r.startup.wakeups > before.startup.wakeups || r.replayed > before.replayed
}

// quietLooks is how many looks in a row must find no receiver: one may fall between the end of the old one and the start of
// another that was asked for before the startup process read the configuration.
const quietLooks = 2

// awaitNoReceiver waits until there is no receiver and none can come. A receiver whose startup process is busy replaying would go on
// receiving, and acknowledging, until replay had caught up: it is told to end.
func (i *Instance) awaitNoReceiver(ctx context.Context, s *session, before replica) (r replica, err error) {
	told, quiet, looks := 0, 0, 0
	err = s.poll(ctx, func() (bool, error) {
		if r, err = s.replica(ctx); err != nil {
			return false, err
		}
		looks++
		if r.receiver != 0 {
			quiet = 0
			if looks > 1 && told != r.receiver {
				told = r.receiver
				return false, ignoreGone(syscall.Kill(r.receiver, syscall.SIGTERM))
			}
			return false, nil
		}
		if r.blocked() {
			return false, s.cancelQueries(ctx)
		}
		if r.rereadSince(before) {
			quiet++
		}
		return quiet >= quietLooks, nil
	})
	return r, err
}

func ignoreGone(err error) error {
	if err == syscall.ESRCH {
		return nil
	}
	return err
}

// cancelQueries ends what keeps replay from going on. In a failover the log comes before the reads of a standby.
func (s *session) cancelQueries(ctx context.Context) error {
	return s.exec(ctx, `SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid() AND state <> 'idle'`)
}
