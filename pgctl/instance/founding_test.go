package instance_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

func (n *node) founding(want instance.Founding) {
	n.t.Helper()
	if got, err := n.Founding(); err != nil || got != want {
		n.t.Errorf("founding: %q, %v, want %q", got, err, want)
	}
}

// initdb is initialize by the instance itself.
func (n *node) initdb() {
	n.t.Helper()
	n.ok(n.Initdb(bounded(n.t), instance.InitdbOptions{Args: []string{"--no-sync", "--locale=C"}}))
}

// again is another agent on the same folder.
func (n *node) again() {
	n.t.Helper()
	n.ok(n.Close())
	n.reopen()
}

// resume is what an agent does at its start.
func (n *node) resume(want bool) {
	n.t.Helper()
	got, err := n.ResumeFounding(bounded(n.t))
	n.ok(err)
	if got != want {
		n.t.Errorf("there is something to finish: %t, want %t", got, want)
	}
}

// An agent that is killed while it makes a cluster leaves one without roles, or a recovery whose target nobody knows any more. The next one makes
// again what nobody can have written to, and only that.
func TestFoundingBrokenOff(t *testing.T) {
	ctx := bounded(t)
	n := newNode(t, "a")
	n.initdb()
	n.founding(instance.FoundingMade)
	n.again()
	n.resume(false)
	n.wantErr(n.Inspect(ctx).Err, instance.ErrUnfinished)
	n.initdb() // over what was left
	// A recovery that has not ended.
	n.ok(n.SetFounding(instance.FoundingOpened))
	n.write("recovery.signal", "")
	n.again()
	n.resume(false)
	n.wantErr(n.Inspect(ctx).Err, instance.ErrUnfinished)
	n.initdb()
	// Opened: whatever was written stays.
	n.ok(n.SetFounding(instance.FoundingOpened))
	n.ok(n.StartPrimary(ctx, postgres.SyncNames{}))
	n.sql("CREATE TABLE t()")
	n.ok(n.Stop(ctx, instance.StopOptions{}))
	n.again()
	n.resume(true)
	n.ok(n.Inspect(ctx).Err)
	// Started by somebody although it was only made.
	n.ok(n.SetFounding(instance.FoundingMade))
	n.again()
	n.resume(true)
	n.ok(n.Inspect(ctx).Err)
	n.ok(n.SetFounding(instance.FoundingNone))
	n.resume(false)
}

// A bootstrap that has failed leaves its folder under a name that no earlier one loses.
func TestFailedBootstrapReplacesNothing(t *testing.T) {
	ctx := bounded(t)
	n := newNode(t, "a")
	n.ok(os.Mkdir(n.dir+".failed", 0o700))
	n.ok(os.WriteFile(n.dir+".failed/precious", nil, 0o600))
	n.initdb()
	n.ok(n.DiscardFailed(ctx))
	n.founding(instance.FoundingNone)
	if _, err := os.Stat(n.dir + ".failed/precious"); err != nil {
		t.Error("the earlier folder is gone:", err)
	}
	kept, err := filepath.Glob(n.dir + ".failed-*/PG_VERSION")
	if err != nil || len(kept) != 1 {
		t.Errorf("the folder of this bootstrap: %v %v", kept, err)
	}
	if f := n.Inspect(ctx); !f.Empty || f.Marker != nil {
		t.Errorf("%+v", f)
	}
}

// On a mount point the folder cannot be renamed. The next bootstrap empties it, unless somebody has repaired it meanwhile and written to it.
func TestFailedBootstrapOnAMountPoint(t *testing.T) {
	ctx := bounded(t)
	n := newNode(t, "a")
	n.ok(os.MkdirAll(n.dir, 0o700))
	if err := unix.Mount("tmpfs", n.dir, "tmpfs", 0, "size=300m,mode=0700"); errors.Is(err, unix.EPERM) {
		t.Skip("this user may not mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.kill()
		n.ok(unix.Unmount(n.dir, unix.MNT_DETACH))
	})
	n.chown(n.dir)
	n.initdb()
	n.ok(n.StartPrimary(ctx, postgres.SyncNames{}))
	n.ok(n.Stop(ctx, instance.StopOptions{}))
	n.ok(n.DiscardFailed(ctx))
	n.wantErr(n.Inspect(ctx).Err, instance.ErrUnfinished)
	n.initdb()
	first := n.Inspect(ctx).Control.SystemID
	n.ok(n.DiscardFailed(ctx))
	// Somebody takes the marker for a nuisance, and uses the folder as a database; then the marker comes back from a backup of the state folder.
	marker, err := os.ReadFile(filepath.Join(n.dir+".quorate", "operation"))
	n.ok(err)
	n.ok(os.Remove(filepath.Join(n.dir+".quorate", "operation")))
	n.ok(n.StartPrimary(ctx, postgres.SyncNames{}))
	n.sql("CREATE TABLE precious()")
	n.ok(n.Stop(ctx, instance.StopOptions{}))
	n.ok(os.WriteFile(filepath.Join(n.dir+".quorate", "operation"), marker, 0o600))
	f := n.Inspect(ctx)
	n.wantErr(f.Err, instance.ErrUsed)
	if !strings.Contains(f.Err.Error(), "remove "+filepath.Join(n.dir+".quorate", "operation")) {
		t.Errorf("no remedy: %v", f.Err)
	}
	n.wantErr(n.Initdb(ctx, instance.InitdbOptions{}), instance.ErrUsed)
	if got, err := n.ControlData(ctx); err != nil || got.SystemID != first {
		t.Errorf("the folder was emptied: %v", err)
	}
}
