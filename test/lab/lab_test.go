package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long an awaited event may take on a busy machine; silence is how long a connection attempt into a cut waits before
// it counts as unanswered (too short a wait could only hide a leak, never fail a sound cut).
const (
	patience = 20 * time.Second
	silence  = 150 * time.Millisecond
)

func TestCutsAreSilentAndHeal(t *testing.T) {
	l := ForTest(t)
	a, b, c := l.Host(t, "a"), l.Host(t, "b"), l.Host(t, "c")
	for _, h := range l.Hosts() {
		echo(t, h)
	}
	reach := func(from, to *Host, want bool) {
		t.Helper()
		wait := patience
		if !want {
			wait = silence
		}
		err := ask(t.Context(), from, to, wait)
		if (err == nil) != want {
			t.Errorf("%s reaches %s: %v, want %v", from.Name, to.Name, err, want)
		}
		var timeout net.Error
		if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			t.Errorf("%s was told that %s is lost: %v", from.Name, to.Name, err)
		}
	}
	must(t, a.Cut())
	reach(b, a, false)
	reach(a, b, false)
	reach(b, c, true)
	must(t, a.Heal())
	reach(b, a, true)

	must(t, l.CutBetween(a, b))
	reach(a, b, false)
	reach(b, a, false)
	reach(c, a, true)
	reach(c, b, true)
	must(t, b.Heal())
	reach(a, b, true)

	must(t, a.CutFrom(b), a.CutFrom(c))
	reach(c, a, false)
	must(t, b.Heal())
	reach(b, a, true)
	reach(c, a, false)
	must(t, a.Heal())
	reach(c, a, true)
}

func TestPowerLossSendsNoFarewell(t *testing.T) {
	l := ForTest(t)
	a, b := l.Host(t, "a"), l.Host(t, "b")
	server := echoProcess(t, a)
	conn := dialUntil(t, b, a.Addr(7))
	must(t, a.PowerOff())
	if err := server.Wait(); err == nil {
		t.Error("the server ended without a signal")
	}
	must(t, conn.SetReadDeadline(time.Now().Add(silence)))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer of a lost host read %d bytes and %v, want silence", n, err)
	}
	if _, err := a.Start(Spec{Args: []string{"true"}}); !errors.Is(err, ErrPowerOff) {
		t.Errorf("starting on a host without power: %v", err)
	}
	must(t, a.PowerOn())
	echoProcess(t, a)
	dialUntil(t, b, a.Addr(7))
}

func TestKillAllReachesDaemons(t *testing.T) {
	l := ForTest(t)
	a, b := l.Host(t, "a"), l.Host(t, "b")
	for _, h := range l.Hosts() {
		_, err := h.Start(Spec{Args: []string{"setsid", "sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & wait"}})
		must(t, err)
		eventually(t, "daemons of "+h.Name, func() bool { return count(t, h, Program("sleep")) == 2 })
	}
	must(t, a.Freeze())
	must(t, a.KillAll())
	if n := count(t, a, Program("sleep")); n != 0 {
		t.Errorf("%d daemons outlive their host", n)
	}
	if n := count(t, b, Program("sleep")); n != 2 {
		t.Errorf("the neighbour has %d daemons left", n)
	}
	must(t, b.Signal(unix.SIGSTOP, Program("sleep")), b.Signal(unix.SIGKILL, Program("sleep")))
	eventually(t, "killed daemons to go", func() bool { return count(t, b, Program("sleep")) == 0 })
	if err := b.Signal(unix.SIGTERM, Program("sleep")); !errors.Is(err, ErrNoProcess) {
		t.Errorf("a fault that hits nobody: %v", err)
	}
}

func TestRunReportsWhatWasSaid(t *testing.T) {
	h := ForTest(t).Host(t, "a")
	out, err := h.Run(t.Context(), Spec{Args: []string{"sh", "-c", "id -un; ip -4 -o address show dev eth0"}, User: "nobody"})
	must(t, err)
	if !strings.HasPrefix(out, "nobody\n") || !strings.Contains(out, h.IP()) {
		t.Errorf("output %q", out)
	}
	if _, err := h.Run(t.Context(), Spec{Args: []string{"sh", "-c", "echo broken >&2; exit 3"}}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
}

func TestDiskFullAndHung(t *testing.T) {
	h := ForTest(t).Host(t, "a")
	d, err := h.AddDisk("nobody", "data", 32)
	if err != nil {
		t.Skipf("this machine has no loop devices: %v", err)
	}
	write := func(name string) error { return os.WriteFile(filepath.Join(d.Path, name), make([]byte, 1<<20), 0o600) }
	must(t, d.Fill(64<<10))
	if err := write("x"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing to a full disk: %v", err)
	}
	must(t, d.Free(), write("x"))

	must(t, d.Hang(time.Hour))
	wrote := make(chan error, 1)
	go func() { wrote <- write("y") }()
	select {
	case err := <-wrote:
		t.Errorf("a write to a hung disk returned %v", err)
	case <-time.After(silence):
	}
	must(t, d.Thaw(), <-wrote)
	must(t, d.Hang(time.Millisecond)) // thaws by itself
	must(t, write("z"))
	must(t, d.Hang(time.Hour)) // and the lab's end thaws what is left
	t.Cleanup(func() {
		must(t, h.lab.Close())
		if left := hangers(d.Path); len(left) > 0 {
			t.Errorf("processes %v still wait to thaw a disk that is gone", left)
		}
	})
}

// TestReapAfterCrash runs a lab in another process that dies without cleaning up.
func TestReapAfterCrash(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCrashingLab$")
	cmd.Env = append(os.Environ(), "LAB_CRASH=1")
	out, err := cmd.Output()
	if err == nil {
		t.Fatal("the crashing run has ended well")
	}
	name, _, _ := strings.Cut(string(out), "\n")
	r, ok := parseRun(name)
	if !ok {
		t.Fatalf("no run in the output %q", out)
	}
	if len(namesOf(r, netnsDir)) == 0 || len(mountsBelow(filepath.Join(os.TempDir(), name))) == 0 {
		t.Fatal("the crashed run has left nothing: this test proves nothing")
	}
	must(t, Reap())
	if left := namesOf(r, netnsDir); len(left) > 0 {
		t.Errorf("namespaces left: %v", left)
	}
	if left := mountsBelow(filepath.Join(os.TempDir(), name)); len(left) > 0 {
		t.Errorf("mounts left: %v", left)
	}
	if left := namesOf(r, os.TempDir()); len(left) > 0 {
		t.Errorf("folders left: %v", left)
	}
	if root := cgroupRoot(); root != "" && len(namesOf(r, root)) > 0 {
		t.Errorf("cgroups left: %v", namesOf(r, root))
	}
}

func TestCrashingLab(t *testing.T) {
	if os.Getenv("LAB_CRASH") == "" {
		t.Skip("runs as a child of TestReapAfterCrash")
	}
	l, err := New(Options{})
	must(t, err)
	h := l.Host(t, "a")
	_, err = h.AddDisk("nobody", "data", 16)
	must(t, err)
	_, err = h.Start(Spec{Args: []string{"setsid", "sleep", "1000"}})
	must(t, err)
	must(t, h.Freeze())
	os.Stdout.WriteString(l.run.String() + "\n")
	must(t, unix.Kill(os.Getpid(), unix.SIGKILL))
	select {}
}

// echo serves one byte to each connection on port 7 of the host.
func echo(t *testing.T, h *Host) {
	t.Helper()
	ln, err := h.Listen("tcp", h.Addr(7))
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("!"))
			conn.Close()
		}
	}()
}

func ask(ctx context.Context, from, to *Host, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to.Addr(7))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// echoProcess is a server that ends with its host: it accepts and holds connections.
func echoProcess(t *testing.T, h *Host) *Process {
	t.Helper()
	p, err := h.Start(Spec{Args: []string{os.Args[0], "-test.run", "^TestServe$"}, Env: []string{"LAB_SERVE=" + h.Addr(7)}})
	must(t, err)
	return p
}

func TestServe(t *testing.T) {
	addr := os.Getenv("LAB_SERVE")
	if addr == "" {
		t.Skip("runs as a process of a host")
	}
	ln, err := net.Listen("tcp", addr)
	must(t, err)
	for {
		conn, err := ln.Accept()
		must(t, err)
		go func() { _, _ = io.Copy(io.Discard, conn) }() // and is held open until the process ends
	}
}

func dialUntil(t *testing.T, h *Host, addr string) net.Conn {
	t.Helper()
	var conn net.Conn
	eventually(t, addr+" to answer", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := h.Dial(ctx, "tcp", addr)
		conn = c
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

func count(t *testing.T, h *Host, role Role) int {
	t.Helper()
	procs, err := h.Find(role)
	must(t, err)
	return len(procs)
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	must(t, waitUntil(patience, what, cond))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
