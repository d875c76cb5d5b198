package fence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/soon"
)

// TestMain makes the test binary a fence when it is started as one.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FENCE_TEST_STATE"); dir != "" {
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if err := Run(dir, "test", log, func() {}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// family is a postmaster's shape: a parent that waits, and children that ignore everything that can be ignored. Each writes
// its process id, so that a test can see whether it lives.
const family = `
trap 'echo quit >>"$D/signals"; kill -9 $(cat "$D"/child.*) 2>/dev/null; exit 1' QUIT
trap 'exit 0' INT
for i in 1 2 3; do
  sh -c 'trap "" TERM INT HUP QUIT; echo $$ >"$D/child.'$i'"; while :; do sleep 60; done' &
done
while :; do wait; done
`

type rig struct {
	t   *testing.T
	dir string
	g   *Guard
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("FENCE_TEST_STATE", dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGuard(t.Context(), GuardOptions{
		StateDir: dir, DataDir: filepath.Join(dir, "data"), Command: []string{exe}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, dir, g}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = r.g.Kill(ctx)
	r.until("the instance is gone", func() bool { st, ok := r.g.Status(); return ok && st.PM == 0 })
	if err := r.g.Quit(ctx); err != nil {
		r.t.Errorf("quit: %v", err)
	}
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	soon.Within(r.t, 15*time.Second, func() string {
		log, _ := os.ReadFile(filepath.Join(r.dir, "fence.log"))
		return fmt.Sprintf("%s\n%s", what, log)
	}, ok)
}

func (r *rig) spec(standby bool) Spec {
	return Spec{
		Path: "/bin/sh", Args: []string{"-c", family}, Env: []string{"D=" + r.dir, "PATH=/bin:/usr/bin"}, Dir: r.dir,
		LogFile: filepath.Join(r.dir, "pg.log"), UID: -1, GID: -1, Standby: standby,
	}
}

// start starts a family and returns its children, once all have said that they are there.
func (r *rig) start(standby bool) (pm int, children []int) {
	r.t.Helper()
	old, _ := filepath.Glob(filepath.Join(r.dir, "child.*"))
	for _, f := range old {
		os.Remove(f)
	}
	pm, err := r.g.Start(r.t.Context(), r.spec(standby))
	if err != nil {
		r.t.Fatal(err)
	}
	r.until("three children run", func() bool {
		children = children[:0]
		for i := range 3 {
			b, _ := os.ReadFile(filepath.Join(r.dir, fmt.Sprintf("child.%d", i+1)))
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				children = append(children, pid)
			}
		}
		return len(children) == 3
	})
	return pm, children
}

// alive tells zombies from the living.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	s := string(b)
	return !strings.HasPrefix(s[strings.LastIndexByte(s, ')')+2:], "Z")
}

func (r *rig) allGone(pids ...int) {
	r.t.Helper()
	r.until(fmt.Sprint("all are gone: ", pids), func() bool {
		for _, p := range pids {
			if alive(p) {
				return false
			}
		}
		return true
	})
}

func ahead(d time.Duration) boottime.Instant { return boottime.Now().Add(d) }

func TestDeadlineKillsEveryProcess(t *testing.T) {
	r := newRig(t)
	term := Term{7, 100}
	if err := r.g.Lease(t.Context(), term, ahead(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	pm, children := r.start(false)
	// A second connection shortens nothing: only a later deadline is taken.
	if err := r.g.Lease(t.Context(), term, ahead(time.Second)); err != nil {
		t.Fatal(err)
	}
	if st, _ := r.g.Status(); boottime.Until(st.Deadline) < 20*time.Second {
		t.Fatalf("an earlier deadline was taken: %v ahead", boottime.Until(st.Deadline))
	}
	next := Term{7, 101}
	if err := r.g.Lease(t.Context(), next, ahead(300*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	r.allGone(append(children, pm)...)
	r.until("the fence tells of it", func() bool { st, _ := r.g.Status(); return st.PM == 0 && st.Fired == next })
	if err := r.g.Lease(t.Context(), next, ahead(time.Minute)); !errors.Is(err, ErrStaleTerm) {
		t.Fatalf("a term that has fired was taken again: %v", err)
	}
	if err := r.g.Lease(t.Context(), term, ahead(time.Minute)); !errors.Is(err, ErrStaleTerm) {
		t.Fatalf("a lower term was taken: %v", err)
	}
}

func TestNothingWritableWithoutADeadline(t *testing.T) {
	r := newRig(t)
	if _, err := r.g.Start(t.Context(), r.spec(false)); !errors.Is(err, ErrNoDeadline) {
		t.Fatalf("started without a deadline: %v", err)
	}
	r.start(true)
	if err := r.g.Signal(t.Context(), signalPromote); !errors.Is(err, ErrNoDeadline) {
		t.Fatalf("promoted without a deadline: %v", err)
	}
	if err := r.g.Lease(t.Context(), Term{7, 1}, ahead(-time.Second)); !errors.Is(err, ErrNoDeadline) {
		t.Fatalf("a deadline in the past was taken: %v", err)
	}
	if _, err := r.g.Start(t.Context(), r.spec(true)); !errors.Is(err, ErrRunning) {
		t.Fatalf("started a second instance: %v", err)
	}
}

// A pause ends for a postmaster with its life: one that starts as a standby afterwards may not be promoted, nor is it one that takes writes.
func TestUnfencedEndsWithTheLife(t *testing.T) {
	r := newRig(t)
	term := Term{7, 1}
	if err := r.g.Lease(t.Context(), term, ahead(time.Minute)); err != nil {
		t.Fatal(err)
	}
	pm, _ := r.start(false)
	if err := r.g.Unfence(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pm, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := r.g.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.start(true)
	if st, _ := r.g.Status(); st.Unfenced || st.Deadline != 0 {
		t.Errorf("the standby's fence: %+v", st)
	}
	if err := r.g.Signal(t.Context(), signalPromote); !errors.Is(err, ErrNoDeadline) {
		t.Errorf("promoted by the pause of the life before: %v", err)
	}
}

func TestOrphansDoNotOutliveThePostmaster(t *testing.T) {
	r := newRig(t)
	pm, children := r.start(true)
	if err := syscall.Kill(pm, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.allGone(children...)
	e, err := r.g.Wait(t.Context())
	if err != nil || e.PID != pm || e.Signal != syscall.SIGKILL || e.Fired {
		t.Fatalf("exit %+v, %v", e, err)
	}
}

func TestFenceDeathQuitsThePostmaster(t *testing.T) {
	r := newRig(t)
	r.g.opt.patience = time.Minute // its backends are the postmaster's to end, however slow the machine is
	pm, children := r.start(true)
	st, _ := r.g.Status()
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.allGone(append(children, pm)...)
	if b, _ := os.ReadFile(filepath.Join(r.dir, "signals")); !strings.Contains(string(b), "quit") {
		t.Fatal("the postmaster was not asked to take its backends along")
	}
	r.until("another fence is there", func() bool { n, ok := r.g.Status(); return ok && n.PID != st.PID })
	r.start(true)
}

func TestFrozenPostmasterIsBuriedWhenTheFenceDies(t *testing.T) {
	r := newRig(t)
	pm, children := r.start(true)
	if err := syscall.Kill(pm, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	st, _ := r.g.Status()
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.allGone(append(children, pm)...)
}

func TestAgentsComeAndGo(t *testing.T) {
	r := newRig(t)
	term := Term{7, 5}
	if err := r.g.Lease(t.Context(), term, ahead(time.Minute)); err != nil {
		t.Fatal(err)
	}
	pm, _ := r.start(false)
	first, _ := r.g.Status()
	r.g.Close()
	g, err := NewGuard(t.Context(), r.g.opt)
	if err != nil {
		t.Fatal(err)
	}
	r.g = g
	st, ok := g.Status()
	if !ok || st.PID != first.PID || st.PM != pm || st.Term != term || !st.Armed {
		t.Fatalf("the next agent found %+v, the first left %+v", st, first)
	}
	if err := g.Unfence(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	if st, _ := g.Status(); st.Armed || !st.Unfenced {
		t.Fatalf("still armed in maintenance: %+v", st)
	}
	if err := g.Lease(t.Context(), term, ahead(time.Minute)); err != nil {
		t.Fatalf("a valid lease does not end maintenance: %v", err)
	}
}

func TestAdoptedPostmasterIsFenced(t *testing.T) {
	r := newRig(t)
	cmd := exec.Command("/bin/sh", "-c", family)
	cmd.Env = []string{"D=" + r.dir, "PATH=/bin:/usr/bin"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait() //nolint:errcheck // it is killed
	var children []int
	r.until("its children run", func() bool {
		f, _ := filepath.Glob(filepath.Join(r.dir, "child.*"))
		children = nil
		for _, n := range f {
			b, _ := os.ReadFile(n)
			if p, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				children = append(children, p)
			}
		}
		return len(children) == 3
	})
	if err := r.g.Adopt(t.Context(), cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := r.g.Lease(t.Context(), Term{7, 5}, ahead(200*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	r.allGone(append(children, cmd.Process.Pid)...)
	r.until("the fence tells of it", func() bool { st, _ := r.g.Status(); return st.PM == 0 && st.LastExit != nil && st.LastExit.Fired })
}

func TestOneFenceForOneFolder(t *testing.T) {
	r := newRig(t)
	if err := Run(r.dir, "test", slog.New(slog.DiscardHandler), func() {}); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second fence: %v", err)
	}
}
