package instance_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// A standby that has pledged takes nothing from the archive either, and a promotion may look there again.
func TestStopReceiverClosesTheArchive(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	if !a.atLeast(14) {
		t.Skip("before version 14 restore_command changes at a restart only")
	}
	b := newNode(t, "node-b", func(o *instance.Options) { o.RestoreLimit = -1 })
	c := testConfig()
	c.Recovery = postgres.Params{"restore_command": "false %f %p"}
	b.must(b.Configure(ctx, c))
	b.standbyOf(a)
	b.await("SHOW restore_command", "false %f %p")
	b.must(b.StopReceiver(ctx))
	b.await("SHOW restore_command", "")
	b.ok(b.Follow(ctx, b.upstream(a)))
	b.await("SHOW restore_command", "false %f %p")
	a.awaitStreaming("node-b")
	b.must(b.StopReceiver(ctx))
	b.must(b.Promote(ctx, postgres.SyncNames{}))
	b.await("SHOW restore_command", "false %f %p")
}

// An archive that hangs holds a promotion up no longer than its limit.
func TestPromotionWhileTheArchiveHangs(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b", func(o *instance.Options) { o.RestoreLimit = time.Second })
	c := testConfig()
	c.Recovery = postgres.Params{"restore_command": "test '%f' != x; sleep 1000"}
	b.must(b.Configure(ctx, c))
	b.standbyOf(a)
	a.crash()
	b.must(b.Promote(ctx, postgres.SyncNames{}))
}

// Where the log lies on a volume of its own, a new copy's does too.
func TestRecloneKeepsTheLogsPlace(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b")
	wal := filepath.Join(filepath.Dir(b.dir), "wal")
	c := testConfig()
	c.BaseBackup = append(c.BaseBackup, "--waldir="+wal)
	b.must(b.Configure(ctx, c))
	b.ok(b.Clone(ctx, b.cloneOptions(a)))
	b.must(b.Configure(ctx, testConfig()))
	_, err := b.Reclone(ctx, instance.RecloneOptions{Clone: b.cloneOptions(a), Keep: instance.KeepNothing})
	b.ok(err)
	if to, err := os.Readlink(b.path("pg_wal")); err != nil || to != wal {
		t.Errorf("pg_wal points to %q, %v", to, err)
	}
	b.ok(b.StartStandby(ctx, b.upstream(a)))
	a.awaitStreaming("node-b")
}
