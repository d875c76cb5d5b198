package writer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
	"quorate/internal/freeport"
	"quorate/internal/soon"
	"quorate/test/check"
)

// instance is a PostgreSQL of this test's own.
type instance struct {
	bin, dir string
	port     int
	cred     *syscall.Credential
	cmd      *exec.Cmd
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		t.Skip("no PostgreSQL server is installed below /usr/lib/postgresql")
	}
	dir, err := os.MkdirTemp("", "qwriter") // short: the path of a UNIX socket ends at 107 bytes
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	i := &instance{bin: bins[len(bins)-1], dir: dir, port: freeport.Port(t)}
	if os.Geteuid() == 0 {
		i.cred = ownBy(t, dir, "postgres")
	}
	out, err := i.command("initdb", "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-N").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	t.Cleanup(func() { i.end() })
	return i
}

func ownBy(t *testing.T, dir, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	must(t, err1, err2, os.Chown(dir, uid, gid))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (i *instance) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(i.bin, program), args...)
	cmd.Dir = i.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.cred}
	return cmd
}

func (i *instance) start(t *testing.T) {
	t.Helper()
	i.cmd = i.command("postgres", "-D", i.dir+"/data", "-k", i.dir, "-p", fmt.Sprint(i.port), "-c", "listen_addresses=127.0.0.1")
	must(t, i.cmd.Start())
}

// end kills the postmaster as a crash would, and waits until its children have noticed and left: until then no successor may start.
func (i *instance) end() {
	if i.cmd == nil {
		return
	}
	pid := i.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var ends []unix.PollFd // readable when a child has ended
	for _, child := range strings.Fields(string(children)) {
		pid, _ := strconv.Atoi(child)
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			defer unix.Close(fd)
			ends = append(ends, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	_ = i.cmd.Process.Kill()
	_ = i.cmd.Wait()
	i.cmd = nil
	for n := range ends {
		_, _ = unix.Poll(ends[n:n+1], 10_000)
	}
}

func (i *instance) tcp() string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres database=postgres", i.port)
}
func (i *instance) unix() string {
	return fmt.Sprintf("host=%s port=%d user=postgres database=postgres", i.dir, i.port)
}

// TestCrashUnderWriters kills a real server under all kinds of writers and lets the checkers judge it, and then a history that was tampered with.
func TestCrashUnderWriters(t *testing.T) {
	pg := newInstance(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pg.start(t)
	must(t, Await(ctx, pg.unix(), nil), Setup(ctx, pg.tcp(), nil))

	var h check.History
	node := fmt.Sprintf("127.0.0.1:%d", pg.port)
	stop := launch(t, ctx,
		Options{Name: "kept", Target: pg.tcp(), Record: h.Record},
		Options{Name: "fresh", Target: pg.tcp(), Mode: Fresh, Record: h.Record},
		Options{Name: "socket", Target: pg.unix(), Node: node, Record: h.Record},
		Options{Name: "long", Target: pg.unix(), Hold: 300 * time.Millisecond, Record: h.Record},
	)
	eachWrites(t, &h, 3)
	fault := boottime.Now()
	pg.end()
	eventually(t, "the writers to notice", func() bool { op, _ := h.Last("socket"); return op.Outcome == check.Failed })
	pg.start(t)
	eachWrites(t, &h, h.Acked()+3)
	stop()

	found, err := ReadIDs(ctx, pg.tcp(), nil)
	must(t, err)
	ops := h.Ops()
	ids := check.CheckIDs(ops, found)
	must(t, ids.Err(0))
	if bad := check.CheckTerms(ops); len(bad) != 0 {
		t.Errorf("violations: %v", bad)
	}
	terms := check.Terms(ops)
	if len(terms) != 2 || terms[0].Server.Timeline != 1 || terms[0].Server.Node != node {
		t.Errorf("terms %v, want two of %s on timeline 1", terms, node)
	}
	for _, name := range []string{"kept", "fresh", "socket"} {
		if o := check.MeasureOutage(ops, name, fault); !o.Over() || o.Duration == 0 {
			t.Errorf("%s: %s", name, o)
		}
	}
	last, _ := h.Last("fresh")
	for i := range ops {
		if ops[i].Outcome == check.Acked {
			delete(found, ops[i].ID)
			break
		}
	}
	if check.CheckIDs(ops, found).Err(0) == nil {
		t.Error("a removed row is not missed")
	}
	if first, _ := h.Last("kept"); last.Session < 3 || first.Session > 60 {
		t.Errorf("sessions: fresh %d, kept %d", last.Session, first.Session)
	}
}

// launch starts writers; the returned function stops them and waits for their last records.
func launch(t *testing.T, ctx context.Context, all ...Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, o := range all {
		w, err := New(o)
		must(t, err)
		wg.Go(func() { w.Run(ctx) })
	}
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

// eachWrites waits until every writer is acknowledged again after the given number of acknowledgements in all.
func eachWrites(t *testing.T, h *check.History, atLeast int) {
	t.Helper()
	from := boottime.Now()
	eventually(t, "all writers to be acknowledged", func() bool {
		seen := map[string]bool{}
		for _, op := range h.Ops() {
			if op.Outcome == check.Acked && op.Start.After(from) {
				seen[op.Writer] = true
			}
		}
		return len(seen) == 4 && h.Acked() >= atLeast
	})
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	soon.True(t, time.Minute, what, cond)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
