package instance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// Two isolated promotions take the same number. pg_rewind would find nothing to do; comparing the contents shows the fork.
func TestTwoTimelinesOfOneNumber(t *testing.T) {
	requireRoom(t)
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.sql("CREATE TABLE t(i int)")
	b := newNode(t, "node-b").standbyOf(a)
	b.must(b.StopReceiver(ctx))
	a.sql("INSERT INTO t VALUES (1)")
	failover(a, b)
	b.sql("INSERT INTO t VALUES (2)")
	a.ok(a.StartStandby(ctx, postgres.Upstream{}))
	a.must(a.Promote(ctx, postgres.SyncNames{}))
	a.ok(a.Stop(ctx, instance.StopOptions{}))

	w, err := a.CheckWAL(ctx, "127.0.0.1", b.port)
	a.ok(err)
	if w.History.Timeline != 2 || w.Source.Timeline != 2 || !w.Diverged || w.Fork.Timeline != 1 || w.Fork.LSN != w.Source.History.Begin() {
		t.Errorf("%+v", w)
	}
	_, err = a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"})
	a.wantErr(err, instance.ErrRewindImpossible)
	r, err := a.Reclone(ctx, instance.RecloneOptions{Clone: a.cloneOptions(b)})
	a.ok(err)
	if r.Transactions != 1 || !r.Lost() || r.Kept == "" {
		t.Errorf("report: %+v", r)
	}
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
	a.await("SELECT string_agg(i::text, ',') FROM t", "2")
}

// A standby may hold more than the one that was promoted, and may not even have replayed it yet.
func TestRewindOfAStandbyThatIsAhead(t *testing.T) {
	for _, c := range []struct {
		name   string
		paused bool
	}{{"replayed", false}, {"only received", true}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := bounded(t)
			a := newNode(t, "node-a").bootstrap()
			a.sql("CREATE TABLE t(i int)")
			b := newNode(t, "node-b").standbyOf(a)
			s := newNode(t, "node-s").standbyOf(a)
			s.await("SELECT count(*) FROM pg_class WHERE relname = 't'", "1")
			b.await("SELECT count(*) FROM pg_class WHERE relname = 't'", "1")
			b.must(b.StopReceiver(ctx))
			if c.paused {
				s.pauseReplay()
			}
			a.sql("INSERT INTO t VALUES (1)")
			flushed := a.sql("SELECT pg_current_wal_flush_lsn()")
			s.await("SELECT pg_last_wal_receive_lsn() >= '"+flushed+"'", "t")
			if !c.paused {
				s.await("SELECT count(*) FROM t", "1")
			}
			failover(a, b)
			b.sql("INSERT INTO t VALUES (2)")

			running, err := s.CheckWAL(ctx, "127.0.0.1", b.port)
			s.ok(err)
			s.ok(s.Stop(ctx, instance.StopOptions{}))
			stopped, err := s.CheckWAL(ctx, "127.0.0.1", b.port)
			s.ok(err)
			if !running.Diverged || running.Fork != stopped.Fork || !stopped.Diverged || stopped.End < running.End {
				t.Errorf("running %+v, stopped %+v", running.Divergence, stopped.Divergence)
			}
			if !c.paused { // no socket can have such a name: the source itself is asked
				long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
				s.ok(os.Mkdir(long, 0o755))
				t.Setenv("TMPDIR", long)
			}
			r, err := s.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-s"})
			s.ok(err)
			if r.Transactions != 1 {
				t.Errorf("report: %+v", r)
			}
			s.ok(s.StartStandby(ctx, s.upstream(b)))
			b.awaitStreaming("node-s")
			s.await("SELECT string_agg(i::text, ',') FROM t", "2")
		})
	}
}
