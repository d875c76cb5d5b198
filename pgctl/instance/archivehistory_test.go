package instance_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// A standby that had received more than the one that was promoted does not go the new way by the archive when it starts while there is no leader:
// what it alone has stays in its log, to be counted and kept by whoever rewinds it. One whose log the archive's history continues may look there.
func TestStartBesideAnArchiveThatHasLeft(t *testing.T) {
	p := newNode(t, "node-p").bootstrap()
	b := newNode(t, "node-b")
	archive, _ := b.archiving()
	b.standbyOf(p)
	a, c := newNode(t, "node-a").standbyOf(p), newNode(t, "node-c").standbyOf(p)
	p.sql("CREATE TABLE t(i int)")
	flushed := p.sql("SELECT pg_current_wal_flush_lsn()")
	for _, n := range []*node{a, b, c} {
		n.await("SELECT pg_last_wal_replay_lsn() >= '"+flushed+"'", "t")
	}
	ctx := bounded(t)
	b.must(b.StopReceiver(ctx))
	c.ok(c.Stop(ctx, instance.StopOptions{}))
	p.sql("INSERT INTO t VALUES (1)")
	p.sql("INSERT INTO t VALUES (2)")
	a.await("SELECT count(*) FROM t", "2")
	a.crash()
	failover(p, b)
	b.sql("INSERT INTO t VALUES (3)")
	last := b.sql("SELECT pg_walfile_name(pg_switch_wal())")
	b.await("SELECT coalesce(last_archived_wal, '') >= '"+last+"' FROM pg_stat_archiver", "t")
	if _, err := os.Stat(filepath.Join(archive, "00000002.history")); err != nil {
		t.Fatal(err)
	}
	ctx = bounded(t)
	b.ok(b.Stop(ctx, instance.StopOptions{}))

	ctx = bounded(t)
	conf := testConfig()
	conf.Recovery = postgres.Params{"restore_command": "cp " + archive + "/%f %p"}
	a.must(a.Configure(ctx, conf))
	err := a.StartStandby(ctx, postgres.Upstream{})
	if !a.atLeast(14) {
		a.wantErr(err, instance.ErrArchiveLeaves)
	} else {
		a.ok(err)
		a.await("SELECT string_agg(i::text, ' ') FROM t", "1 2")
		if got := a.sql("SELECT count(*) FROM pg_settings WHERE name = 'restore_command' AND setting = ''"); got != "1" {
			t.Error("the archive is open to it")
		}
	}
	if a.hasFile("pg_wal/RECOVERYHISTORY") {
		t.Error("what was fetched to look at is left")
	}

	ctx = bounded(t)
	c.must(c.Configure(ctx, conf))
	c.ok(c.StartStandby(ctx, postgres.Upstream{}))
	c.await("SELECT count(*) FROM t WHERE i = 3", "1")

	ctx = bounded(t)
	b.ok(b.StartPrimary(ctx, postgres.SyncNames{}))
	w, err := a.CheckWAL(ctx, "127.0.0.1", b.port)
	a.ok(err)
	if !w.Diverged {
		t.Fatalf("%+v, want a divergence", w)
	}
	a.ok(a.Stop(ctx, instance.StopOptions{}))
	r, err := a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"})
	a.ok(err)
	if r.Transactions != 2 {
		t.Errorf("%d transactions are counted as lost, want 2", r.Transactions)
	}
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	a.await("SELECT count(*) || ' ' || max(i) FROM t", "1 3")
}

// impatient ends the wait for a start as soon as the postmaster is there.
type impatient struct {
	instance.Supervisor
	started func()
}

func (s impatient) Start(ctx context.Context, spec instance.Spec) (int, error) {
	pid, err := s.Supervisor.Start(ctx, spec)
	s.started()
	return pid, err
}

// The archive that could not be asked is opened again once the standby is ready, also when nobody waits for that any more.
func TestArchiveOpensBehindTheStart(t *testing.T) {
	var started func()
	a := newNode(t, "node-a", func(o *instance.Options) {
		o.Supervisor = impatient{o.Supervisor, func() { started() }}
	})
	started = func() {}
	a.bootstrap()
	if !a.atLeast(14) {
		t.Skip("before version 14 it is not closed")
	}
	a.ok(a.Stop(bounded(t), instance.StopOptions{}))
	archive := filepath.Join(filepath.Dir(a.dir), "archive")
	a.ok(os.Mkdir(archive, 0o755))
	garbage := filepath.Join(archive, "00000002.history")
	a.ok(os.WriteFile(garbage, []byte("no history"), 0o644))
	conf := testConfig()
	conf.Recovery = postgres.Params{"restore_command": "cp " + archive + "/%f %p"}
	a.must(a.Configure(bounded(t), conf))

	ctx, cancel := context.WithCancel(bounded(t))
	started = func() {
		a.ok(os.Remove(garbage)) // PostgreSQL ends when it comes upon that
		cancel()
	}
	a.wantErr(a.StartStandby(ctx, postgres.Upstream{}), instance.ErrNotReady)
	a.ok(a.AwaitReady(bounded(t)))
	a.await("SELECT count(*) FROM pg_settings WHERE name = 'restore_command' AND setting LIKE '%cp %'", "1")
}
