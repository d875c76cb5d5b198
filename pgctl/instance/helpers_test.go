package instance_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/instance/directrun"
)

func owner(fi fs.FileInfo) (uid, gid int) {
	st := fi.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

func freshSupervisor(dir string) *directrun.Supervisor { return directrun.New(dir) }

// openBare opens the instance without configuring it, as an agent does that has not read the cluster's configuration yet.
func (n *node) openBare() {
	n.t.Helper()
	i, err := instance.New(n.opt)
	n.ok(err)
	n.Instance = i
}

// reopen is openBare on a folder that was made by hand.
func (n *node) reopen() { n.t.Helper(); n.openBare() }

func (n *node) write(name, content string) {
	n.t.Helper()
	if _, err := os.Stat(n.dir); err != nil {
		n.ok(os.Mkdir(n.dir, 0o700))
		n.chown(n.dir)
	}
	n.ok(os.WriteFile(n.path(name), []byte(content), 0o600))
	n.chown(n.path(name))
}

func (n *node) mark(op string) {
	n.t.Helper()
	n.ok(os.WriteFile(filepath.Join(n.dir+".quorate", "operation"), []byte(`{"operation":"`+op+`"}`), 0o600))
}

// copyOf copies another node's folder.
func (n *node) copyOf(o *node) {
	n.t.Helper()
	n.ok(filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(o.dir, path)
		if err != nil {
			return err
		}
		to := filepath.Join(n.dir, rel)
		if d.IsDir() {
			err = os.Mkdir(to, 0o700)
		} else if strings.HasPrefix(rel, "base/") && filepath.Base(rel) != "PG_VERSION" {
			return nil // nothing in these tests starts on it
		} else {
			var b []byte
			if b, err = os.ReadFile(path); err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
		}
		n.chown(to)
		return err
	}))
}

// pauseReplay stops a standby from applying what it receives.
func (n *node) pauseReplay() {
	n.t.Helper()
	n.sql("SELECT pg_wal_replay_pause()")
	if n.atLeast(14) { // before, there is no way to tell that it has begun
		n.await("SELECT pg_get_wal_replay_pause_state()", "paused")
	}
}

func (n *node) atLeast(major int) bool {
	n.t.Helper()
	v, err := n.Version(bounded(n.t))
	n.ok(err)
	return v.AtLeast(major)
}

// tree is a listing of the folder by which a change shows.
func (n *node) tree() string {
	var b strings.Builder
	_ = filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if fi, err := d.Info(); err == nil {
			fmt.Fprintln(&b, path, fi.Mode(), fi.Size())
		}
		return nil
	})
	return b.String()
}

func binDir(t *testing.T) string {
	t.Helper()
	hits, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(hits) == 0 {
		t.Skip("the distribution's programs are not in /usr/lib/postgresql")
	}
	return hits[len(hits)-1]
}
