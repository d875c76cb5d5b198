package instance_test

import (
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// A standby that had received more than the one that was promoted is sent that one's history as soon as it asks it for more. Started after that while there
// is no leader it still has what it alone has, whether it was killed (PostgreSQL would pass over its commits without a word) or stopped in order
// (PostgreSQL would not start), and its own promotion does not take the other's number.
func TestStartBesideAHistoryThatHasLeft(t *testing.T) {
	p := newNode(t, "node-p").bootstrap()
	b := newNode(t, "node-b").standbyOf(p)
	a, c := newNode(t, "node-a").standbyOf(p), newNode(t, "node-c").standbyOf(p)
	c.ok(c.Stop(bounded(t), instance.StopOptions{}))
	p.sql("CREATE TABLE t(i int)")
	flushed := p.sql("SELECT pg_current_wal_flush_lsn()")
	for _, n := range []*node{a, b} {
		n.await("SELECT pg_last_wal_replay_lsn() >= '"+flushed+"'", "t")
	}
	b.must(b.StopReceiver(bounded(t)))
	p.sql("INSERT INTO t VALUES (1)")
	p.sql("INSERT INTO t VALUES (2)")
	a.await("SELECT count(*) FROM t", "2")
	failover(p, b)
	a.ok(a.Follow(bounded(t), a.upstream(b)))
	a.eventually(func() bool { return a.hasFile("pg_wal/00000002.history") }, func() string { return "it is not told of timeline 2" })
	b.crash()

	stops := map[string]func(){
		"killed":  a.crash,
		"stopped": func() { a.ok(a.Stop(bounded(t), instance.StopOptions{})) },
	}
	for _, how := range []string{"killed", "stopped"} {
		stops[how]()
		a.ok(a.StartStandby(bounded(t), postgres.Upstream{}))
		if got := a.sql("SELECT coalesce(string_agg(i::text, ' '), 'none') FROM t"); got != "1 2" {
			t.Errorf("%s and started it has %s, want its own commits 1 2", how, got)
		}
	}
	promotion, err := a.Promote(bounded(t), postgres.SyncNames{})
	a.ok(err)
	if promotion.History.Timeline != 3 {
		t.Errorf("promoted it is on timeline %d, want 3: 2 is another server's", promotion.History.Timeline)
	}
	if !a.hasFile("pg_wal/00000002.history") {
		t.Error("the history that it was told is gone")
	}

	// One that has gone on from timeline 1 to 3 goes on there, though 2, which left 1 before, lies beside it.
	c.ok(c.StartStandby(bounded(t), c.upstream(a)))
	a.sql("INSERT INTO t VALUES (3)")
	c.await("SELECT count(*) FROM t", "3")
	if !c.hasFile("pg_wal/00000002.history") {
		t.Fatal("it was not sent the history that it is to see through")
	}
	a.crash()
	c.crash()
	c.ok(c.StartStandby(bounded(t), postgres.Upstream{}))
	c.await("SELECT string_agg(i::text, ' ') FROM t", "1 2 3")
}
