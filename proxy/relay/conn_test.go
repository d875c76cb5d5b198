package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/soon"
)

// A Conn is a net.Conn: bytes both ways, more than the kernel takes at once, halves that close, and the end.
func TestConn(t *testing.T) {
	e := newEngine(t, Options{})
	far, fd := pair(t)
	c := e.Conn(nil, fd, far.LocalAddr())
	say(t, far, "question")
	hear(t, c, "question")
	const size = 8 << 20
	wrote := make(chan error, 1)
	go func() { _, err := c.Write(make([]byte, size)); wrote <- errors.Join(err, c.CloseWrite()) }()
	if n, err := io.Copy(io.Discard, far); n != size || err != nil {
		t.Fatalf("%d bytes arrived, %v", n, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr().String() != far.LocalAddr().String() || c.LocalAddr().String() != far.RemoteAddr().String() {
		t.Errorf("addresses %v and %v of a connection from %v to %v", c.LocalAddr(), c.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
	}
	say(t, far, "x")
	for range 2 {
		if n, err := c.Peek(); n != 1 || err != nil {
			t.Fatalf("peeked %d, %v", n, err)
		}
	}
	hear(t, c, "x")
	_ = far.Close()
	if n, err := c.Peek(); n != 0 || err != nil {
		t.Fatalf("peeked %d, %v at the end", n, err)
	}
	hearEnd(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"close": c.Close(), "shut": c.CloseRead(), "deadline": c.SetDeadline(time.Time{}), "control": c.Control(func(int) {})} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s of a closed connection: %v", what, err)
		}
	}
}

// Whatever ends a wait ends it at once: a deadline that passes or is set, a half that is closed, the end of the connection.
func TestConnEndsWaiting(t *testing.T) {
	e := newEngine(t, Options{})
	for name, c := range map[string]struct {
		end  func(c *Conn)
		want error
	}{
		"deadline set before":  {func(*Conn) {}, os.ErrDeadlineExceeded},
		"deadline set in time": {func(c *Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"half closed":          {func(c *Conn) { _ = c.CloseRead() }, io.EOF},
		"closed":               {func(c *Conn) { _ = c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			_, fd := pair(t)
			conn := e.Conn(nil, fd, nil)
			defer conn.Close()
			if name == "deadline set before" {
				_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			}
			got := make(chan error, 1)
			go func() { _, err := conn.Read(make([]byte, 1)); got <- err }()
			c.end(conn)
			select {
			case err := <-got:
				if !errors.Is(err, c.want) {
					t.Fatalf("the read ended by %v, want %v", err, c.want)
				}
			case <-time.After(patience):
				t.Fatal("the read never ended")
			}
		})
	}
}

func TestDial(t *testing.T) {
	e := newEngine(t, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	c, err := e.Dial(t.Context(), nil, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	say(t, far, "greeting")
	hear(t, c, "greeting")
	_ = errors.Join(far.Close(), c.Close(), ln.Close())

	if _, err := e.Dial(t.Context(), nil, addr, patience); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	// A listener with a full queue does not answer.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	mute := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	for {
		c, err := e.Dial(t.Context(), nil, mute, 50*time.Millisecond)
		if err == nil {
			defer c.Close()
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("no answer in time: %v", err)
		}
		break
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	time.AfterFunc(5*time.Millisecond, func() { cancel(over) })
	if _, err := e.Dial(ctx, nil, mute, patience); !errors.Is(err, over) {
		t.Errorf("given up: %v", err)
	}
}

// Clients come without a delay of small packets, and closing the listener ends the wait for them.
func TestAccept(t *testing.T) {
	e := newEngine(t, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) })
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	c, err := e.Accept(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != far.LocalAddr().String() {
		t.Errorf("a client from %v, said to be from %v", far.LocalAddr(), c.RemoteAddr())
	}
	_ = c.Control(func(fd int) {
		if on, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
			t.Errorf("TCP_NODELAY is %d, %v", on, err)
		}
	})
	closed := make(chan error, 1)
	go func() { _, err := e.Accept(raw); closed <- err }()
	_ = file.Close()
	select {
	case err := <-closed:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed, and Accept says %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Accept goes on after the end")
	}
}

// A flow of connections that were read from before has what came meanwhile, and one of a closed connection does not start.
func TestStartAfterReading(t *testing.T) {
	e, w := newEngine(t, Options{}), newWatcher()
	client, a := pair(t)
	server, b := pair(t)
	up := e.Conn(nil, a, nil)
	down := e.Conn(up, b, nil)
	for _, c := range []*Conn{up, down} { // from now on they are watched
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Time{})
	}
	say(t, client, "early")
	if _, err := up.Peek(); err != nil { // the loop has told
		t.Fatal(err)
	}
	f := &Flow{}
	if err := e.Start(f, w, up, down); err != nil {
		t.Fatal(err)
	}
	hear(t, server, "early")
	say(t, server, "answer")
	hear(t, client, "answer")
	_ = client.Close()
	_ = server.Close()
	<-w.silent
	<-w.closed

	far, c := pair(t)
	_, d := pair(t)
	live, dead := e.Conn(nil, c, nil), e.Conn(nil, d, nil)
	_ = dead.Close()
	if err := e.Start(&Flow{}, newWatcher(), live, dead); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("a flow of a closed connection: %v", err)
	}
	hearEnd(t, far)
}

// The last bytes and the end, both there before the flow starts and told to the Conn, pass all the same: a short read does not show the end.
func TestEndBeforeTheStart(t *testing.T) {
	e := newEngine(t, Options{})
	for range 20 {
		client, clientFD := pair(t)
		server, serverFD := pair(t)
		c := e.Conn(nil, clientFD, nil)
		s := e.Conn(c, serverFD, nil)
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Peek(); !errors.Is(err, os.ErrDeadlineExceeded) { // it is watched from now on
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Time{})
		say(t, client, "last")
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for end := false; !end; { // the Conn has been told of both: only then is it certain that the flow is not
			if n, err := c.Peek(); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			info, err := unix.GetsockoptTCPInfo(clientFD, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			end = info.State == unix.BPF_TCP_CLOSE_WAIT && len(c.loop.idle(t)) == 0
		}
		w, f := newWatcher(), new(Flow)
		if err := e.Start(f, w, c, s); err != nil {
			t.Fatal(err)
		}
		hear(t, server, "last")
		hearEnd(t, server)
		_ = server.Close()
		w.expect(t, ClientClosed)
	}
}

// idle returns when the loop has nothing to do: what had happened before has been told.
func (l *loop) idle(t *testing.T) []order {
	t.Helper()
	soon.True(t, patience, "the loop comes to rest", l.asleep.Load)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.orders
}
