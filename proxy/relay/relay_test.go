package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"quorate/internal/soon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; reaching it is a failure.
const patience = 10 * time.Second

// watcher is an Owner that remembers.
type watcher struct {
	farewell []byte
	silent   chan Cause
	closed   chan struct{}

	mu     sync.Mutex
	seen   int
	unseen bool
}

func newWatcher() *watcher {
	return &watcher{silent: make(chan Cause, 1), closed: make(chan struct{})}
}

func (w *watcher) Seen(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen += len(p)
}

func (w *watcher) Unseen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unseen = true
}

func (w *watcher) Parting() []byte { return w.farewell }
func (w *watcher) Silent(c Cause)  { w.silent <- c }
func (w *watcher) Closed()         { close(w.closed) }

func (w *watcher) expect(t *testing.T, want Cause) {
	t.Helper()
	select {
	case got := <-w.silent:
		if got != want {
			t.Fatalf("the flow ended by cause %d, want %d", got, want)
		}
	case <-time.After(patience):
		t.Fatal("the flow never ended")
	}
	select {
	case <-w.closed:
	case <-time.After(patience):
		t.Fatal("the flow never closed")
	}
}

func newEngine(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// pair is a TCP connection: one end for the test, one for the relay.
func pair(t *testing.T) (mine *net.TCPConn, theirs int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	raw, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { theirs, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	_ = far.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = far.Close() })
	return far.(*net.TCPConn), theirs
}

// begin starts a flow between two ends that the test holds.
func begin(t *testing.T, e *Engine, w *watcher) (f *Flow, client, server *net.TCPConn) {
	t.Helper()
	client, a := pair(t)
	server, b := pair(t)
	f = &Flow{}
	start(t, e, f, w, a, b)
	return f, client, server
}

// start makes a flow of two sockets.
func start(t *testing.T, e *Engine, f *Flow, w *watcher, client, server int) {
	t.Helper()
	c := e.Conn(nil, client, nil)
	if err := e.Start(f, w, c, e.Conn(c, server, nil)); err != nil {
		t.Error(err)
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

func hearEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d, %v; want the end", n, err)
	}
}

func TestBothWaysAndBothEnds(t *testing.T) {
	for name, c := range map[string]struct {
		first func(client, server *net.TCPConn) (a, b *net.TCPConn)
		cause Cause
	}{
		"client first": {func(c, s *net.TCPConn) (*net.TCPConn, *net.TCPConn) { return c, s }, ClientClosed},
		"server first": {func(c, s *net.TCPConn) (*net.TCPConn, *net.TCPConn) { return s, c }, ServerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatcher()
			f, client, server := begin(t, newEngine(t, Options{}), w)
			say(t, client, "question")
			hear(t, server, "question")
			say(t, server, "an answer")
			hear(t, client, "an answer")
			a, b := c.first(client, server)
			_ = a.CloseWrite()
			hearEnd(t, b)
			say(t, b, "after the half-close")
			hear(t, a, "after the half-close")
			_ = b.CloseWrite()
			hearEnd(t, a)
			w.expect(t, c.cause)
			if up, down := f.Counts(); up+down != int64(len("questionan answerafter the half-close")) {
				t.Fatalf("counted %d and %d", up, down)
			}
		})
	}
}

func TestResetIsALoss(t *testing.T) {
	for name, c := range map[string]struct {
		reset func(client, server *net.TCPConn) *net.TCPConn
		cause Cause
	}{
		"client": {func(c, _ *net.TCPConn) *net.TCPConn { return c }, ClientLost},
		"server": {func(_, s *net.TCPConn) *net.TCPConn { return s }, ServerLost},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatcher()
			_, client, server := begin(t, newEngine(t, Options{}), w)
			say(t, client, "x")
			hear(t, server, "x")
			bad := c.reset(client, server)
			_ = bad.SetLinger(0)
			_ = bad.Close()
			w.expect(t, c.cause)
		})
	}
}

// What a server says last must arrive, whatever the client is sending meanwhile.
func TestLastWordsOfAServer(t *testing.T) {
	e := newEngine(t, Options{Linger: 20 * time.Millisecond})
	for range 50 {
		w := newWatcher()
		_, client, server := begin(t, e, w)
		say(t, client, "a statement that nobody will read")
		say(t, server, "FATAL")
		_ = server.Close() // with bytes unread: RST
		hear(t, client, "FATAL")
		select {
		case <-w.silent:
		case <-time.After(patience):
			t.Fatal("the flow never ended")
		}
		<-w.closed
	}
}

func TestEnd(t *testing.T) {
	t.Run("with a message", func(t *testing.T) {
		w := newWatcher()
		w.farewell = []byte("goodbye")
		f, client, server := begin(t, newEngine(t, Options{}), w)
		say(t, client, "x")
		hear(t, server, "x")
		f.End()
		hearEnd(t, server)
		hear(t, client, "goodbye")
		hearEnd(t, client)
		_ = client.Close()
		w.expect(t, Ended)
	})
	t.Run("without", func(t *testing.T) {
		w := newWatcher()
		f, client, _ := begin(t, newEngine(t, Options{}), w)
		f.End()
		f.End()
		w.expect(t, Ended)
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Fatal("the client can still read")
		}
	})
	t.Run("before the start", func(t *testing.T) {
		w := newWatcher()
		w.farewell = []byte("goodbye")
		client, a := pair(t)
		server, b := pair(t)
		say(t, server, "must not arrive")
		_ = server.Close()
		f := &Flow{}
		f.End()
		start(t, newEngine(t, Options{}), f, w, a, b)
		hear(t, client, "goodbye")
		_ = client.Close()
		w.expect(t, Ended)
	})
	t.Run("a client that does not go", func(t *testing.T) {
		w := newWatcher()
		w.farewell = []byte("goodbye")
		f, _, _ := begin(t, newEngine(t, Options{Part: 10 * time.Millisecond}), w)
		f.End()
		w.expect(t, Ended)
	})
}

func TestLingeringClient(t *testing.T) {
	w := newWatcher()
	_, client, server := begin(t, newEngine(t, Options{Linger: 30 * time.Millisecond}), w)
	_ = server.CloseWrite()
	hearEnd(t, client)
	w.expect(t, ServerClosed)
}

// Bulk goes through the kernel, arrives unchanged, and leaves no pipe with a flow that has paused.
func TestBulk(t *testing.T) {
	const size = 32 << 20
	before := pipesOpen(t)
	e := newEngine(t, Options{Loops: 1})
	w := newWatcher()
	f, client, server := begin(t, e, w)
	sent := make([]byte, size)
	_, _ = rand.Read(sent)
	for name, way := range map[string][2]*net.TCPConn{"up": {client, server}, "down": {server, client}} {
		t.Run(name, func(t *testing.T) {
			wrote := make(chan error, 1)
			go func() { _, err := way[0].Write(sent); wrote <- err }()
			h := sha256.New()
			if _, err := io.CopyN(h, way[1], size); err != nil {
				t.Fatal(err)
			}
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
			if want := sha256.Sum256(sent); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Fatal("the bytes arrived changed")
			}
		})
	}
	w.mu.Lock()
	if !w.unseen || w.seen >= size {
		t.Errorf("%d of %d bytes were copied, spliced: %v", w.seen, size, w.unseen)
	}
	w.mu.Unlock()
	say(t, client, "small again")
	hear(t, server, "small again")
	f.End()
	w.expect(t, Ended)
	if up, down := f.Counts(); up != size+11 || down != size {
		t.Errorf("counted %d and %d", up, down)
	}
	// The loop is idle as soon as it has nothing to do, and then it keeps no pipe.
	soon.True(t, patience, "no more pipe ends are open than before", func() bool { return pipesOpen(t) <= before })
}

// pipesOpen counts the process's descriptors that are pipes.
func pipesOpen(t *testing.T) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && len(to) > 5 && to[:5] == "pipe:" {
			n++
		}
	}
	return n
}

// A receiver that does not read stops its sender; what the relay keeps meanwhile is bounded, and all of it arrives later.
func TestBackPressure(t *testing.T) {
	const size = 24 << 20
	w := newWatcher()
	client, a := pair(t)
	server, b := pair(t)
	for fd, option := range map[int]int{a: unix.SO_SNDBUF, b: unix.SO_RCVBUF} { // else the kernel takes megabytes
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 64<<10); err != nil {
			t.Fatal(err)
		}
	}
	f := &Flow{}
	start(t, newEngine(t, Options{}), f, w, a, b)
	sent := make([]byte, size)
	_, _ = rand.Read(sent)
	_ = server.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := server.Write(sent)
	if err == nil {
		t.Fatalf("%d bytes went to a client that reads nothing", n)
	}
	h, want := sha256.New(), sha256.Sum256(sent[:n])
	if _, err := io.CopyN(h, client, int64(n)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(h.Sum(nil), want[:]) {
		t.Fatal("the bytes arrived changed")
	}
	f.End()
	w.expect(t, Ended)
}

// Many flows at once, each an echo of random sizes, on few loops.
func TestManyFlows(t *testing.T) {
	const flows, rounds = 100, 20
	e := newEngine(t, Options{Loops: 2})
	var running sync.WaitGroup
	for i := range flows {
		w := newWatcher()
		_, client, server := begin(t, e, w)
		running.Go(func() {
			_, _ = io.Copy(server, server)
			_ = server.Close()
		})
		running.Go(func() {
			p := make([]byte, 1+i*997)
			_, _ = rand.Read(p)
			for range rounds {
				got := make([]byte, len(p))
				go func() { _, _ = client.Write(p) }()
				if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, p) {
					t.Errorf("flow %d: %v", i, err)
					break
				}
			}
			_ = client.Close()
			<-w.silent
			<-w.closed
		})
	}
	running.Wait()
}

func TestUnixSockets(t *testing.T) {
	client, a := unixPair(t)
	server, b := unixPair(t)
	w := newWatcher()
	start(t, newEngine(t, Options{}), &Flow{}, w, a, b)
	sent := make([]byte, 4<<20)
	_, _ = rand.Read(sent)
	go func() { _, _ = server.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("bulk over UNIX sockets: %v", err)
	}
	_ = client.Close()
	_ = server.Close()
	<-w.silent
	<-w.closed
}

// unixPair is as pair, over a UNIX socket.
func unixPair(t *testing.T) (mine net.Conn, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "socket")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c, fds[1]
}
