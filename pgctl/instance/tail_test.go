package instance_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"quorate/pgctl/postgres"
)

// What a standby must have received to lack nothing: every commit and every prepared transaction up to the crash, and nothing behind them.
func TestReadTail(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	lsn := func(sql string) postgres.LSN {
		l, err := postgres.ParseLSN(a.sql(sql))
		a.ok(err)
		return l
	}
	a.sql("CREATE TABLE t(i int)")
	from := lsn("SELECT pg_current_wal_flush_lsn()")
	a.sql("INSERT INTO t SELECT generate_series(1, 100000)") // over several segments' pages
	committed := lsn("SELECT pg_current_wal_insert_lsn()")
	a.sql("BEGIN; INSERT INTO t SELECT generate_series(1, 1000); ROLLBACK; CHECKPOINT")
	a.crash()
	// Segments that were made in advance and never written, as a full disk and a crash leave them: pg_waldump may meet one of them first,
	// and of so many it does.
	for n := range 300 {
		name := filepath.Join(a.dir, "pg_wal", postgres.WALFile{Timeline: 1, Segment: uint64(0x400 + n)}.Name(16<<20))
		a.ok(os.WriteFile(name, nil, 0o600))
		a.ok(os.Truncate(name, 16<<20))
		owner, err := os.Stat(filepath.Join(a.dir, "PG_VERSION"))
		a.ok(err)
		st, _ := owner.Sys().(*syscall.Stat_t)
		a.ok(os.Chown(name, int(st.Uid), int(st.Gid)))
	}

	tail, err := a.ReadTail(ctx, from)
	a.ok(err)
	if tail.Timeline != 1 || tail.Durable < committed {
		t.Errorf("the last commit ends at %s on timeline %d, it was seen at %s", tail.Durable, tail.Timeline, committed)
	}
	if late, err := a.ReadTail(ctx, tail.Durable); err != nil || late.Durable != tail.Durable {
		t.Errorf("read from the last commit on it ends at %s, not %s: %v", late.Durable, tail.Durable, err)
	}
	a.ok(a.StartPrimary(ctx, postgres.SyncNames{}))
	if end := lsn("SELECT pg_current_wal_insert_lsn()"); tail.Durable > end {
		t.Errorf("the last commit ends at %s, behind the end of the log, %s", tail.Durable, end)
	}
	if _, err := a.ReadTail(ctx, 1<<40); err == nil {
		t.Error("read log that was never there")
	}
}
