package instance_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// chown gives a path to the user of PostgreSQL, when the test is root.
func (n *node) chown(path string) {
	n.t.Helper()
	if fi, err := os.Stat(filepath.Dir(n.dir)); err == nil && os.Geteuid() == 0 {
		uid, gid := owner(fi)
		n.ok(os.Lchown(path, uid, gid))
	}
}

func TestBadFolders(t *testing.T) {
	ctx := bounded(t)
	good := newNode(t, "good")
	good.ok(good.Initdb(ctx, instance.InitdbOptions{Args: []string{"--no-sync"}}))
	for _, c := range []struct {
		name string
		make func(n *node) // fills the folder
		want error
		says string // part of the remedy
	}{
		{"missing", func(*node) {}, instance.ErrNoData, ""},
		{"empty", func(n *node) { n.ok(os.Mkdir(n.dir, 0o700)) }, instance.ErrNoData, ""},
		{"something else", func(n *node) { n.write("notes.txt", "x") }, instance.ErrForeign, "notes.txt"},
		{"mount point", func(n *node) { n.ok(os.MkdirAll(n.path("lost+found"), 0o700)) }, instance.ErrForeign, "lost+found"},
		{"no version", func(n *node) { n.copyOf(good); n.write("PG_VERSION", "x") }, instance.ErrForeign, "PG_VERSION"},
		{"another major version", func(n *node) { n.copyOf(good); n.write("PG_VERSION", "9\n"); n.opt.BinDir = binDir(t) }, instance.ErrWrongVersion, "pg_upgrade"},
		{"no programs", func(n *node) { n.copyOf(good); n.write("PG_VERSION", "9\n") }, instance.ErrNoBinaries, "bin_dir"},
		{"half a copy", func(n *node) { n.copyOf(good); n.ok(os.Remove(n.path("global/pg_control"))) }, instance.ErrIncomplete, "reinit"},
		{"broken control file", func(n *node) { n.copyOf(good); n.write("global/pg_control", "x") }, instance.ErrIncomplete, "reinit"},
		{"open to others", func(n *node) { n.copyOf(good); n.ok(os.Chmod(n.dir, 0o755)) }, instance.ErrPermissions, "chmod"},
		{"half an initdb", func(n *node) { n.copyOf(good); n.mark("initdb") }, instance.ErrUnfinished, "made again"},
		{"half a rewind", func(n *node) { n.copyOf(good); n.mark("rewind") }, instance.ErrUnfinished, "clone it again"},
		{"half an initdb that somebody has repaired and used", func(n *node) { n.copyOf(good); n.mark("initdb"); n.write("postmaster.opts", "x") }, instance.ErrUsed, "empty the folder"},
		{"single-user recovery broken off", func(n *node) { n.copyOf(good); n.mark("recovery") }, nil, ""},
		{"sound", func(n *node) { n.copyOf(good) }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, "x")
			n.kill()
			c.make(n)
			n.reopen()
			before := n.tree()
			f := n.Inspect(ctx)
			n.wantErr(f.Err, c.want)
			if f.Err != nil && (!strings.Contains(f.Err.Error(), c.says) || !strings.Contains(f.Err.Error(), n.dir)) {
				t.Errorf("the error names neither place nor remedy: %v", f.Err)
			}
			if f.Empty != (c.want == instance.ErrNoData) || c.want == nil && f.Control == nil {
				t.Errorf("%+v", f)
			}
			if c.want != nil {
				n.wantErr(n.StartStandby(ctx, postgres.Upstream{}), c.want)
				n.wantErr(n.StartPrimary(ctx, postgres.SyncNames{}), c.want)
			}
			if c.want != nil && n.tree() != before {
				t.Errorf("the folder was touched:\n%s\nbefore\n%s", n.tree(), before)
			}
		})
	}
}

func TestWrongOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a folder that belongs to somebody else")
	}
	ctx := bounded(t)
	n := newNode(t, "x")
	n.ok(n.Initdb(ctx, instance.InitdbOptions{Args: []string{"--no-sync"}}))
	n.ok(os.Chown(n.dir, 12345, 12345))
	err := n.Inspect(ctx).Err
	n.wantErr(err, instance.ErrWrongOwner)
	if !strings.Contains(err.Error(), "chown") {
		t.Error(err)
	}
}

func TestInitdbAndCloneNeedAnEmptyFolder(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "a").bootstrap()
	for _, content := range []string{"notes.txt", "PG_VERSION"} {
		n := newNode(t, "x")
		n.write(content, "15\n")
		if err := n.Initdb(ctx, instance.InitdbOptions{}); err == nil {
			t.Error("initdb over", content)
		}
		if err := n.Clone(ctx, n.cloneOptions(a)); err == nil {
			t.Error("cloned over", content)
		}
		if !n.hasFile(content) {
			t.Error(content, "was removed")
		}
	}
	// What an unfinished clone left is its own to remove.
	n := newNode(t, "y")
	n.write("PG_VERSION", "15\n")
	n.mark("clone")
	n.ok(n.Clone(ctx, n.cloneOptions(a)))
	if f := n.Inspect(ctx); f.Err != nil || !f.Standby || f.Marker != nil {
		t.Errorf("%+v", f)
	}
	// A clone of another cluster is refused before anything is touched.
	m := newNode(t, "z")
	o := m.cloneOptions(a)
	o.SystemID = "1"
	m.wantErr(m.Clone(ctx, o), instance.ErrNotSameCluster)
	if f := m.Inspect(ctx); !f.Empty || f.Marker != nil {
		t.Errorf("%+v", f)
	}
}

func TestInitdbRefusesWhatTheAgentSets(t *testing.T) {
	n := newNode(t, "x")
	if err := n.Initdb(bounded(t), instance.InitdbOptions{Args: []string{"--pgdata=/x"}}); err == nil || !strings.Contains(err.Error(), "--pgdata") {
		t.Error(err)
	}
}

func TestTwoAgentsOnOneFolder(t *testing.T) {
	n := newNode(t, "x")
	_, err := instance.New(n.opt)
	n.wantErr(err, instance.ErrLocked)
}

func TestStateFolderInDataFolderIsRefused(t *testing.T) {
	n := newNode(t, "x")
	o := n.opt
	o.StateDir = filepath.Join(n.dir, "state")
	o.Logger = slog.New(slog.DiscardHandler)
	if _, err := instance.New(o); err == nil || !strings.Contains(err.Error(), o.StateDir) {
		t.Error(err)
	}
	o.StateDir, o.DataDir = "", "relative"
	if _, err := instance.New(o); err == nil || !strings.Contains(err.Error(), "relative") {
		t.Error(err)
	}
}

// A postmaster that somebody else started is noticed, adopted and stopped; a stale pid file is not mistaken for one.
func TestAdopt(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "a").bootstrap()
	a.ok(a.SetSynchronous(ctx, postgres.SyncNames{Names: []string{"other"}}))
	pid, err := a.Running(ctx)
	a.ok(err)
	a.ok(a.Close())
	a.sup = freshSupervisor(a.dir)
	a.opt.Supervisor = a.sup
	a.openBare()
	a.wantErr(a.StartPrimary(ctx, postgres.SyncNames{}), instance.ErrRunning)
	got, err := a.Adopt(ctx)
	a.ok(err)
	if got != pid || a.SyncNames().Names[0] != "other" {
		t.Errorf("adopted %d, started was %d; names %v", got, pid, a.SyncNames())
	}
	a.ok(a.Stop(ctx, instance.StopOptions{Mode: instance.StopFast}))
	if e := a.LastExit(); e.PID != pid || e.Code != -1 {
		t.Errorf("%+v", e)
	}
	a.write("postmaster.pid", "1\n"+a.dir+"\n")
	if f := a.Inspect(ctx); f.PID != 0 {
		t.Errorf("process 1 is taken for a postmaster: %+v", f)
	}
	if got, err := a.Adopt(ctx); got != 0 || err != nil {
		t.Errorf("adopted %d, %v", got, err)
	}
	a.ok(os.Remove(a.path("postmaster.pid")))
}
