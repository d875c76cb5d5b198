package instance_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

func sync1(names ...string) postgres.SyncNames {
	return postgres.SyncNames{Method: postgres.SyncAny, Num: 1, Names: names}
}

// commits says whether a commit is acknowledged. One that is not is recognised by its wait, never by the clock.
func (n *node) commits(sql string) bool {
	n.t.Helper()
	c := n.connect()
	defer c.Close(context.Background())
	ctx, cancel := context.WithCancel(bounded(n.t))
	defer cancel()
	done := make(chan error, 1)
	pid := c.PID()
	go func() { _, err := c.Exec(ctx, sql).ReadAll(); done <- err }()
	for {
		select {
		case err := <-done:
			n.ok(err)
			return true
		case <-time.After(10 * time.Millisecond):
		}
		if n.sql("SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = "+itoa(pid)) == "SyncRep" {
			cancel()
			<-done
			return false
		}
	}
}

func TestSynchronousNames(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.sql("CREATE TABLE t(i int)")
	b := newNode(t, "node-b").standbyOf(a)
	c := newNode(t, "node-c").standbyOf(a)

	a.ok(a.SetSynchronous(ctx, sync1("nobody-there")))
	if a.commits("INSERT INTO t VALUES (1)") {
		t.Fatal("a commit was acknowledged that no standby has confirmed")
	}
	a.ok(a.SetSynchronous(ctx, sync1("nobody-there", "node-b")))
	if !a.commits("INSERT INTO t VALUES (2)") {
		t.Fatal("a commit waits although its standby is there")
	}

	// Both pledge: the primary can acknowledge nothing any more.
	pb, err := b.StopReceiver(ctx)
	b.ok(err)
	pc, err := c.StopReceiver(ctx)
	c.ok(err)
	if a.commits("INSERT INTO t VALUES (3)") {
		t.Fatal("the old primary acknowledges after the pledge")
	}
	if n := a.sql("SELECT count(*) FROM pg_stat_replication"); n != "0" {
		t.Errorf("%s receivers after the pledge", n)
	}
	if pb.Timeline != 1 || pb.Flush.IsZero() || !pb.History.Equal(pc.History) {
		t.Errorf("%+v and %+v", pb, pc)
	}

	// The names are in effect from the first commit on.
	b.must(b.Promote(ctx, sync1("node-c")))
	if got := b.sql("SHOW synchronous_standby_names"); got != `ANY 1 ("node-c")` {
		t.Errorf("synchronous_standby_names = %s", got)
	}
	if b.commits("INSERT INTO t VALUES (4)") {
		t.Fatal("the new primary acknowledged before its standby was there")
	}
	c.ok(c.Follow(ctx, c.upstream(b)))
	b.awaitStreaming("node-c")
	if !b.commits("INSERT INTO t VALUES (5)") {
		t.Fatal("a commit waits although its standby follows")
	}
	// What the old primary had not acknowledged is on nobody else, and a restart of the agent changes nothing.
	if up := c.Upstream(); up.Port != b.port || up.Name != "node-c" {
		t.Errorf("upstream %+v", up)
	}
}

// A standby whose replay stands still would receive and acknowledge for ever if its startup process had to notice.
func TestStopReceiverWhileReplayIsPaused(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.sql("CREATE TABLE t(i int)")
	b := newNode(t, "node-b").standbyOf(a)
	b.await("SELECT count(*) FROM pg_class WHERE relname = 't'", "1")
	b.pauseReplay()
	a.sql("INSERT INTO t VALUES (1)")
	flushed, err := postgres.ParseLSN(a.sql("SELECT pg_current_wal_flush_lsn()"))
	a.ok(err)
	b.eventually(func() bool { return b.sql("SELECT pg_last_wal_receive_lsn() >= '"+flushed.String()+"'") == "t" }, func() string { return "it does not receive" })
	p, err := b.StopReceiver(ctx)
	b.ok(err)
	if p.Flush < flushed || p.Replay >= flushed {
		t.Errorf("%+v, flushed by the primary %s", p, flushed)
	}
	if n := a.sql("SELECT count(*) FROM pg_stat_replication"); n != "0" {
		t.Errorf("%s receivers after the pledge", n)
	}
	// The promotion ends the pause, and nothing of what was received is missing.
	a.crash()
	b.must(b.Promote(ctx, postgres.SyncNames{}))
	if got := b.sql("SELECT count(*) FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
}

func TestOneOperationAtATime(t *testing.T) {
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b")
	began := make(chan struct{})
	b.kill()
	b.opt.OnProgress = func(instance.Progress) {
		select {
		case <-began:
		default:
			close(began)
		}
	}
	b.open()
	ctx, cancel := context.WithCancel(bounded(t))
	done := make(chan error, 1)
	go func() { done <- b.Clone(ctx, b.cloneOptions(a)) }()
	<-began
	_, errOther := b.Promote(ctx, postgres.SyncNames{})
	b.wantErr(errOther, instance.ErrBusy)
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	} else if err != nil {
		if f := b.Inspect(bounded(t)); !f.Empty || f.Marker != nil {
			t.Errorf("after a clone that was broken off: %+v", f)
		}
	}
	if op := b.Operation(); op != "" {
		t.Errorf("still %q", op)
	}
}
