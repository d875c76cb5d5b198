package relay

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/soon"
)

// lonely moves this goroutine's thread, for good, into a network namespace of its own and returns a switch for its loopback.
func lonely(t *testing.T) (link func(up bool)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespaces: %v", err)
	}
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(control) })
	link = func(up bool) {
		req, err := unix.NewIfreq("lo")
		if err != nil {
			t.Fatal(err)
		}
		if up {
			req.SetUint16(unix.IFF_UP)
		}
		if err := unix.IoctlIfreq(control, unix.SIOCSIFFLAGS, req); err != nil {
			t.Fatal(err)
		}
	}
	link(true)
	return link
}

func TestDeadPeerIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		cause Cause
		start func(t *testing.T, e *Engine, w *watcher, lost, near int)
	}{
		"client": {ClientLost, func(t *testing.T, e *Engine, w *watcher, lost, near int) { start(t, e, &Flow{}, w, lost, near) }},
		"server": {ServerLost, func(t *testing.T, e *Engine, w *watcher, lost, near int) { start(t, e, &Flow{}, w, near, lost) }},
	} {
		t.Run(name, func(t *testing.T) {
			link := lonely(t)
			e, w := newEngine(t, Options{Dead: 100 * time.Millisecond, Sweep: 20 * time.Millisecond}), newWatcher()
			far, lost := pair(t)
			mine, near := unixPair(t) // not cut with the other leg
			c.start(t, e, w, lost, near)
			say(t, mine, "heard")
			hear(t, far, "heard")
			link(false)
			say(t, mine, "not heard")
			w.expect(t, c.cause)
		})
	}
}

// A peer that answers but does not read is alive, however long it takes.
func TestSlowPeerIsAlive(t *testing.T) {
	const dead, size = 150 * time.Millisecond, 2 << 20 // longer than an acknowledgement may be delayed
	e, w := newEngine(t, Options{Dead: dead, Sweep: 5 * time.Millisecond}), newWatcher()
	client, a := pair(t)
	server, b := unixPair(t)
	if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10); err != nil {
		t.Fatal(err)
	}
	if err := client.SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	start(t, e, &Flow{}, w, a, b)
	wrote := make(chan error, 1)
	go func() { _, err := server.Write(make([]byte, size)); wrote <- err }()
	soon.Within(t, patience, func() string { return fmt.Sprintf("the client's window has closed for long: %+v", debtOf(a)) }, func() bool {
		d := debtOf(a)
		return d.owing && d.silence > 3*dead
	})
	if _, err := io.CopyN(io.Discard, client, size); err != nil {
		t.Fatalf("the rest did not arrive: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	_ = server.Close()
	<-w.silent
	<-w.closed
}

// Each socket is settled once, and only if it lives to see a sweep.
func TestSettle(t *testing.T) {
	settled := make(chan int, 16)
	e, w := newEngine(t, Options{Sweep: 5 * time.Millisecond, Settle: func(fd int) { settled <- fd }}), newWatcher()
	f, _, _ := begin(t, e, w)
	if a, b := <-settled, <-settled; a == b {
		t.Fatalf("socket %d was settled twice, the other not", a)
	}
	second := newWatcher()
	g, _, _ := begin(t, e, second)
	<-settled
	<-settled // by now the first flow has met more sweeps
	if n := len(settled); n != 0 {
		t.Fatalf("%d calls too many", n)
	}
	f.End()
	g.End()
	w.expect(t, Ended)
	second.expect(t, Ended)
}

// However many sockets there are at once, they are not settled at once: no half of them within a fifth of a round.
func TestSettlingIsSpread(t *testing.T) {
	const flows, sweep = 300, 200 * time.Millisecond
	settled := make(chan time.Time, 4*flows)
	e := newEngine(t, Options{Loops: 1, Sweep: sweep, Settle: func(int) { settled <- time.Now() }})
	var started [flows]Flow
	var watchers [flows]*watcher
	for i := range started {
		_, client := unixPair(t)
		_, server := unixPair(t)
		watchers[i] = newWatcher()
		start(t, e, &started[i], watchers[i], client, server)
	}
	var at [2 * flows]time.Time
	for i := range at {
		at[i] = <-settled
	}
	for i := flows; i < len(at); i++ {
		if d := at[i].Sub(at[i-flows]); d < sweep/5 {
			t.Fatalf("%d sockets were settled in %s", flows, d)
		}
	}
	for i := range started {
		started[i].End()
		watchers[i].expect(t, Ended)
	}
}
