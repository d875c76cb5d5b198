package instance_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// crash kills the postmaster and waits until its children have noticed.
func (n *node) crash() {
	n.t.Helper()
	ctx := bounded(n.t)
	n.ok(n.sup.Signal(ctx, syscall.SIGKILL))
	n.must(n.sup.Wait(ctx))
	n.eventually(func() bool { return n.LastExit().PID != 0 }, func() string { return "its end is not noticed" })
}

// failover crashes a and promotes b.
func failover(a, b *node) {
	a.t.Helper()
	a.crash()
	_, err := b.Promote(bounded(b.t), postgres.SyncNames{})
	b.ok(err)
}

func TestRewindKeepsAndCountsWhatIsLost(t *testing.T) {
	ctx := bounded(t)
	var said strings.Builder
	a := newNode(t, "node-a", func(o *instance.Options) {
		o.Logger = slog.New(slog.NewTextHandler(io.MultiWriter(&said, testWriter{t}), nil))
	}).bootstrap()
	a.sql("CREATE TABLE t(i int)")
	b := newNode(t, "node-b").standbyOf(a)
	for range 3 {
		a.sql("INSERT INTO t VALUES (1)")
	}
	b.await("SELECT count(*) FROM t", "3")
	// The standby is cut off, and the primary goes on: three transactions, one of them rolled back.
	b.must(b.StopReceiver(ctx))
	a.sql("INSERT INTO t SELECT generate_series(1, 1000)")
	a.sql("BEGIN; INSERT INTO t VALUES (5); ROLLBACK")
	a.sql("INSERT INTO t VALUES (6)")
	end := a.sql("SELECT pg_current_wal_lsn()")
	failover(a, b)
	b.sql("INSERT INTO t VALUES (100)")

	before, err := a.CheckWAL(ctx, "127.0.0.1", b.port)
	a.ok(err)
	if !before.Diverged || before.Fork.Timeline != 1 || before.End.String() != end {
		t.Errorf("%+v, want a divergence on timeline 1 until %s", before.Divergence, end)
	}
	r, err := a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"})
	a.ok(err)
	if r.Transactions != 2 || r.Bytes != before.Bytes || !r.Lost() || r.End.String() != end {
		t.Errorf("report: %+v", r)
	}
	a.wantReport(r)
	if tried, done := strings.Count(said.String(), "need to copy"), strings.Count(said.String(), "pg_rewind: Done!"); tried != 2 || done != 1 {
		t.Errorf("pg_rewind knew %d times what to copy and did it %d times: the first run is to change nothing, and to copy nothing", tried, done)
	}

	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
	a.await("SELECT count(*) FROM t", "4")
	if got := a.sql("SHOW port"); got != a.sql("SELECT inet_server_port()") {
		t.Errorf("the configuration of the source came along: port %s", got)
	}
	if f := a.Inspect(ctx); f.Marker != nil || f.Err != nil {
		t.Errorf("%+v", f)
	}
}

// wantReport checks what is kept: the report, and log that still tells what was lost.
func (n *node) wantReport(r instance.LossReport) {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.Kept, "report.json"))
	n.ok(err)
	var on instance.LossReport
	n.ok(json.Unmarshal(b, &on))
	if on.Transactions != r.Transactions || on.Fork != r.Fork || on.KeptBytes == 0 {
		n.t.Errorf("report on disk: %+v", on)
	}
	kept, err := n.DivergedLogs()
	n.ok(err)
	if len(kept) != 1 || kept[0].Path != r.Kept || kept[0].Whole {
		n.t.Errorf("kept: %+v", kept)
	}
	first := postgres.WALFileAt(r.Fork.Timeline, r.Fork.LSN, templateSegment).Name(templateSegment)
	if _, err := os.Stat(filepath.Join(r.Kept, first)); err != nil {
		n.t.Error(err)
	}
}

// A primary that crashed with nothing of its own needs no rewind, although the recovery of its crash would write log of its own.
func TestCrashedPrimaryWithoutLossFollows(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	a.sql("CREATE TABLE t(i int)")
	b.await("SELECT count(*) FROM pg_class WHERE relname = 't'", "1")
	flushed := a.sql("SELECT pg_current_wal_flush_lsn()")
	b.eventually(func() bool { return b.sql("SELECT pg_last_wal_receive_lsn() >= '"+flushed+"'") == "t" }, func() string { return "it does not catch up" })
	a.crash()
	p, err := b.StopReceiver(ctx)
	b.ok(err)
	if p.Timeline != 1 || p.Flush < p.Replay || p.Flush.String() < flushed {
		t.Errorf("%+v, the primary had flushed %s", p, flushed)
	}
	_, err = b.Promote(ctx, postgres.SyncNames{})
	b.ok(err)
	r, err := a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"})
	a.ok(err)
	if r.Lost() || r.Kept != "" {
		t.Errorf("%+v", r)
	}
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
}

func TestCrashRecoveryInPlace(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.sql("CREATE TABLE t(i int); INSERT INTO t VALUES (1)")
	a.crash()
	if f := a.Inspect(ctx); f.Err != nil || f.PID != 0 || f.Control.State != postgres.StateInProduction {
		t.Fatalf("%+v", f)
	}
	a.ok(a.StartPrimary(ctx, postgres.SyncNames{}))
	if got := a.sql("SELECT timeline_id FROM pg_control_checkpoint()"); got != "1" {
		t.Errorf("recovery in place began timeline %s", got)
	}
	a.crash()
	a.ok(a.RecoverCrash(ctx))
	f := a.Inspect(ctx)
	if f.Err != nil || f.Control.State != postgres.StateShutDown || !f.Standby || f.Marker != nil {
		t.Errorf("%+v", f)
	}
	a.ok(a.StartPrimary(ctx, postgres.SyncNames{}))
	if got := a.sql("SELECT count(*) FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
}

// A failed dry run leaves the folder as it was; a rewind that was broken off leaves one that nothing starts.
func TestRewindBrokenOff(t *testing.T) {
	requireRoom(t)
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.sql("CREATE TABLE t(i int)")
	b := newNode(t, "node-b").standbyOf(a)
	b.must(b.StopReceiver(ctx))
	a.sql("INSERT INTO t VALUES (1)")
	failover(a, b)
	b.sql("ALTER ROLE rewinder PASSWORD 'other'")
	broken := filepath.Join(a.opt.DataDir+".quorate", "diverged", "20200101T000000.000Z")
	a.ok(os.MkdirAll(broken, 0o700))
	for range 2 {
		if _, err := a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"}); err == nil {
			t.Fatal("rewound without a password")
		}
		logs, err := a.DivergedLogs()
		a.ok(err)
		if len(logs) != 1 || logs[0].Path == broken {
			t.Errorf("attempts that fail fill the disk: %+v", logs)
		}
	}
	if f := a.Inspect(ctx); f.Err != nil || f.Marker != nil || !f.Standby {
		t.Errorf("after a rewind that could not begin: %+v", f)
	}
	a.ok(os.WriteFile(filepath.Join(a.opt.DataDir+".quorate", "operation"), []byte(`{"operation":"rewind"}`), 0o600))
	a.wantErr(a.Inspect(ctx).Err, instance.ErrUnfinished)
	a.wantErr(a.StartStandby(ctx, a.upstream(b)), instance.ErrUnfinished)
	a.wantErr(a.StartPrimary(ctx, postgres.SyncNames{}), instance.ErrUnfinished)
	a.wantErr(a.Clone(ctx, a.cloneOptions(b)), instance.ErrUnfinished)

	r, err := a.Reclone(ctx, instance.RecloneOptions{Clone: a.cloneOptions(b)})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := a.DivergedFolders()
	a.ok(err)
	if len(kept) != 1 || kept[0].Path != r.Kept || !kept[0].Whole {
		t.Errorf("kept %+v, report %+v", kept, r)
	}
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")

	// A second one within a week is an operator's decision.
	a.ok(a.Stop(ctx, instance.StopOptions{}))
	_, err = a.Reclone(ctx, instance.RecloneOptions{Clone: a.cloneOptions(b)})
	a.wantErr(err, instance.ErrKept)
	if f := a.Inspect(ctx); f.Err != nil {
		t.Errorf("the folder was touched: %v", f.Err)
	}
	_, err = a.Reclone(ctx, instance.RecloneOptions{Clone: a.cloneOptions(b), Keep: instance.KeepNothing})
	a.ok(err)
	a.ok(a.RemoveDiverged(filepath.Base(kept[0].Path)))
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
}

// pg_rewind fetches no log that is here already, and none that is laid by for later: there may be a great deal of both.
func TestRewindFetchesNoLogInVain(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	a.sql("CREATE TABLE t(i int)")
	for range 4 {
		a.sql("INSERT INTO t VALUES (1)")
		a.sql("SELECT pg_switch_wal()")
	}
	b.await("SELECT count(*) FROM t", "4")
	b.must(b.StopReceiver(ctx))
	a.sql("INSERT INTO t VALUES (2)")
	failover(a, b)
	later := postgres.WALFile{Timeline: 2, Segment: 900}.Name(templateSegment)
	b.ok(os.WriteFile(b.path("pg_wal", later), make([]byte, templateSegment), 0o600))
	b.chown(b.path("pg_wal", later))
	shared := postgres.WALFile{Timeline: 1, Segment: 0}
	w, err := a.CheckWAL(ctx, "127.0.0.1", b.port)
	a.ok(err)
	before := map[string]os.FileInfo{}
	for shared.Segment = uint64(w.Fork.LSN)/templateSegment - 3; shared.Segment < uint64(w.Fork.LSN)/templateSegment; shared.Segment++ {
		fi, err := os.Stat(a.path("pg_wal", shared.Name(templateSegment)))
		a.ok(err)
		before[fi.Name()] = fi
	}

	r, err := a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"})
	a.ok(err)
	if r.Transactions != 1 {
		t.Errorf("%+v", r)
	}
	for name, fi := range before {
		if now, err := os.Stat(a.path("pg_wal", name)); err != nil || !os.SameFile(fi, now) {
			t.Errorf("%s was fetched, or is gone: %v", name, err)
		}
	}
	if a.hasFile(filepath.Join("pg_wal", later)) {
		t.Errorf("%s was fetched", later)
	}
	if _, err := os.Stat(a.dir + ".quorate/rewind-wal"); !os.IsNotExist(err) {
		t.Errorf("what was put aside is left: %v", err)
	}
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
	a.await("SELECT string_agg(i::text, ' ') FROM t", "1 1 1 1")
}
