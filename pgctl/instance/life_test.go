package instance_test

import (
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

func TestLifeOfACluster(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a")
	a.ok(a.Initdb(ctx, instance.InitdbOptions{Args: []string{"--no-sync"}}))
	a.ok(a.StartPrimary(ctx, postgres.SyncNames{}))
	a.ok(a.PostBootstrap(ctx))
	if !a.hasFile("standby.signal") {
		t.Error("the folder of a running primary would start as a primary again")
	}
	a.sql("CREATE TABLE t(i int); INSERT INTO t VALUES (1)")

	b := newNode(t, "node-b").standbyOf(a)
	b.await("SELECT count(*) FROM t", "1")
	if f := b.Inspect(ctx); f.Err != nil || !f.Standby || f.PID == 0 || f.Control == nil {
		t.Errorf("a running standby: %+v", f)
	}

	a.ok(a.Stop(ctx, instance.StopOptions{Checkpoint: true}))
	if f := a.Inspect(ctx); f.Err != nil || f.PID != 0 || f.Control.State != postgres.StateShutDown || !f.Standby {
		t.Errorf("a primary stopped in order: %+v", f)
	}
	p, err := b.Promote(ctx, postgres.SyncNames{})
	b.ok(err)
	if p.History.Timeline != 2 || len(p.History.Switches) != 1 || p.History.Begin().IsZero() {
		t.Errorf("history after the promotion: %+v", p.History)
	}
	if !b.hasFile("standby.signal") {
		t.Error("the folder of the promoted server would start as a primary again")
	}
	b.sql("INSERT INTO t VALUES (2)")

	// The old primary stopped in order and all of its log reached the new one: it follows as it is.
	w, err := a.CheckWAL(ctx, "127.0.0.1", b.port)
	a.ok(err)
	if w.Diverged {
		t.Errorf("a primary that handed over in order has diverged: %+v", w)
	}
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
	a.await("SELECT count(*) FROM t", "2")
	b.eventually(func() bool { return !b.Checkpointing() }, func() string { return "the checkpoint after the promotion does not end" })

	// And back again, while both run.
	a.ok(b.Stop(ctx, instance.StopOptions{}))
	_, err = a.Promote(ctx, postgres.SyncNames{})
	a.ok(err)
	b.ok(b.StartStandby(ctx, b.upstream(a)))
	a.awaitStreaming("node-b")
	b.ok(b.Restart(ctx, instance.StopOptions{}))
	a.awaitStreaming("node-b")
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	if got := a.sql("SELECT pg_is_in_recovery()"); got != "f" {
		t.Error("a restarted primary came back as a standby")
	}
	if got := a.sql("SELECT count(*) FROM t"); got != "2" {
		t.Errorf("%s rows", got)
	}
}
