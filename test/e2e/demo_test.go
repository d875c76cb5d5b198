//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/internal/heard"
)

// demoPatience bounds a demo, on whatever machine this is.
const demoPatience = 8 * time.Minute

// demoRun is one run of `quorate demo` in a folder of its own.
type demoRun struct {
	t   *testing.T
	dir string // TMPDIR
	cmd *exec.Cmd
	out heard.Output
}

// newDemo prepares a demo by the given user; "" is the one who runs this test.
func newDemo(t *testing.T, by string, args ...string) *demoRun {
	t.Helper()
	dir, err := os.MkdirTemp("", "qd")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755)) // PostgreSQL is another user's
	ctx, cancel := context.WithTimeout(t.Context(), demoPatience)
	t.Cleanup(cancel)
	r := &demoRun{t: t, dir: dir, cmd: exec.CommandContext(ctx, program(t), append([]string{"demo"}, args...)...)}
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = 30 * time.Second
	r.cmd.Env, r.cmd.Dir = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir), dir
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if by != "" {
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, by, dir)}
	}
	return r
}

func credential(t *testing.T, name, dir string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(t, err)
	must(t, os.Chown(dir, int(uid), int(gid)))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// nothingLeft fails if there is a process of the demo or a file.
func (r *demoRun) nothingLeft() {
	r.t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*")
	must(r.t, err)
	for _, p := range procs {
		cmdline, _ := os.ReadFile(p + "/cmdline") // it may have ended meanwhile
		cwd, _ := os.Readlink(p + "/cwd")
		if bytes.Contains(cmdline, []byte(r.dir+"/")) || strings.HasPrefix(cwd, r.dir+"/") {
			r.t.Errorf("left behind: process %s, %q in %s", filepath.Base(p), bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}), cwd)
		}
	}
	entries, err := os.ReadDir(r.dir)
	must(r.t, err)
	for _, e := range entries {
		r.t.Errorf("left behind: %s", e.Name())
	}
}

// TestDemo runs the unattended demo: as the user of this test, and as one without rights if that is root.
func TestDemo(t *testing.T) {
	users := []string{""}
	if os.Geteuid() == 0 {
		users = append(users, "postgres")
	}
	for _, by := range users {
		t.Run("by "+by, func(t *testing.T) {
			r := newDemo(t, by, "--for", "1s")
			err := r.cmd.Run()
			text := r.out.String()
			if err != nil {
				t.Fatalf("%v:\n%s", err, text)
			}
			for _, want := range []string{"switchover from", "kill -9 of everything on", "until it streams from the new primary", ", 0 of them not found in the end"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
			r.nothingLeft()
		})
	}
}

// TestDemoInterrupted ends the demo while the hosts are being made.
func TestDemoInterrupted(t *testing.T) {
	r := newDemo(t, "")
	must(t, r.cmd.Start())
	r.out.Await(t, "bootstrap") // whoever wins, each says something of it
	must(t, r.cmd.Process.Signal(syscall.SIGINT))
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, r.out.String())
	}
	r.nothingLeft()
}
