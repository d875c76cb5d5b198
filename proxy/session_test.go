package proxy

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/soon"
)

// arrived waits until the other side's kernel has all that was written.
func arrived(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	soon.True(t, patienceOfTests, "the bytes arrive", func() (all bool) {
		err := raw.Control(func(fd uintptr) {
			left, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			all = err == nil && left == 0
		})
		return err == nil && all
	})
}

func TestFirstPacketInAnySplit(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	p := append(packet(codeSSL, nil), startup("ann", "shop")...)
	for _, cut := range []int{1, 4, 7, 8, 9, len(p) - 1} {
		c := dialRouter(t, r, "primary")
		write(t, c, p[:min(cut, 8)])
		if cut >= 8 {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			write(t, c, p[8:cut])
			arrived(t, c) // the pieces travel apart; the outcome must not depend on it
			write(t, c, p[cut:])
		} else {
			arrived(t, c)
			write(t, c, p[cut:8])
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			write(t, c, p[8:])
		}
		expectMessage(t, c, 'R')
		_ = c.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, got := range a.starts {
		if !bytes.Equal(got, startup("ann", "shop")) {
			t.Fatalf("the server got %q", got)
		}
	}
}

func TestEncryptedSessionPassesUntouched(t *testing.T) {
	for name, first := range map[string][]byte{"ssl": packet(codeSSL, nil), "gss": packet(codeGSS, nil)} {
		t.Run(name, func(t *testing.T) {
			a := newServer(t, "a")
			a.ssl = map[string]byte{"ssl": 'S', "gss": 'G'}[name]
			r := newRouter(t, nil)
			r.Publish(tableOf(1, a.backend(RolePrimary)))
			c := dialRouter(t, r, "primary")
			write(t, c, first)
			got := make([]byte, 1)
			if _, err := io.ReadFull(c, got); err != nil || got[0] != a.ssl {
				t.Fatalf("answer %q, %v", got, err)
			}
			echo(t, c, []byte("\x16\x03\x01\x00\x05hello"))
			if s := r.Sessions(); len(s) != 1 || !s[0].Encrypted || s[0].User != "" {
				t.Fatalf("sessions: %+v", s)
			}
			r.Publish(tableOf(2, a.backend(RolePrimary)))
			expectEnd(t, c) // without a word in plain text
		})
	}
}

// raw is a server that answers with whatever talk does.
func raw(t *testing.T, talk func(*net.TCPConn)) Backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patienceOfTests))
			talk(c.(*net.TCPConn))
			_ = c.Close()
		}
	}()
	return Backend{Name: "raw", Addr: ln.Addr().String(), Role: RolePrimary, Running: true}
}

func TestDirectTLSPasses(t *testing.T) {
	hello := append([]byte{tlsHandshake, 3, 1, 0, 200}, bytes.Repeat([]byte{7}, 200)...)
	r := newRouter(t, nil)
	r.Publish(tableOf(1, raw(t, func(c *net.TCPConn) {
		p := make([]byte, len(hello))
		_, _ = io.ReadFull(c, p)
		_, _ = c.Write(p)
	})))
	c := dialRouter(t, r, "primary")
	write(t, c, hello[:3])
	write(t, c, hello[3:50])
	write(t, c, hello[50:])
	got := make([]byte, len(hello))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, hello) {
		t.Fatalf("the hello came back as %q, %v", got, err)
	}
}

func echo(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	write(t, c, p)
	got := make([]byte, len(p))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, p) {
		t.Fatalf("echo %q, %v; want %q", got, err, p)
	}
}

func TestHalfClose(t *testing.T) {
	t.Run("client first", func(t *testing.T) {
		r := newRouter(t, nil)
		r.Publish(tableOf(1, raw(t, func(c *net.TCPConn) {
			_, _ = c.Write(message('Z', []byte{'I'}))
			all, _ := io.ReadAll(c) // up to the client's end
			_, _ = c.Write(message('D', all[len(all)-4:]))
		})))
		c := dialRouter(t, r, "primary")
		write(t, c, startup("ann", "shop"))
		expectMessage(t, c, 'Z')
		write(t, c, []byte("last"))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := expectMessage(t, c, 'D'); string(got) != "last" {
			t.Fatalf("answer after the half-close: %q", got)
		}
		expectEnd(t, c)
	})
	t.Run("server first", func(t *testing.T) {
		got := make(chan []byte, 1)
		r := newRouter(t, nil)
		r.Publish(tableOf(1, raw(t, func(c *net.TCPConn) {
			_, _ = c.Write(message('Z', []byte{'I'}))
			_ = c.CloseWrite()
			all, _ := io.ReadAll(c)
			got <- all
		})))
		c := dialRouter(t, r, "primary")
		first := startup("ann", "shop")
		write(t, c, first)
		expectMessage(t, c, 'Z')
		expectEnd(t, c)
		write(t, c, []byte("still here"))
		_ = c.Close()
		if all := <-got; string(all[len(first):]) != "still here" {
			t.Fatalf("the server got %q after its half-close", all)
		}
	})
}

func TestBulkBothWays(t *testing.T) {
	const size = 8 << 20
	a := newServer(t, "a")
	a.ssl = 'S'
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := dialRouter(t, r, "primary")
	write(t, c, packet(codeSSL, nil))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, size)
	_, _ = rand.Read(sent)
	wrote := make(chan error, 1)
	go func() { _, err := c.Write(sent); wrote <- err }()
	got := make([]byte, size)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("the bytes came back changed")
	}
	if s := r.Sessions()[0]; s.BytesIn != size+8 || s.BytesOut != size+1 {
		t.Fatalf("counted %d in, %d out; want %d and %d", s.BytesIn, s.BytesOut, size+8, size+1)
	}
}

// A client that does not read must not keep its session alive past the term, nor hold more than the sockets' buffers.
func TestSlowClientIsEndedAtOnce(t *testing.T) {
	full := make(chan struct{})
	r := newRouter(t, nil)
	r.Publish(tableOf(1, raw(t, func(c *net.TCPConn) {
		_, _ = c.Write(message('Z', []byte{'I'}))
		_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = c.Write(make([]byte, 64<<20)) // fails once every buffer on the way is full
		close(full)
		_, _ = io.Copy(io.Discard, c)
	})))
	c := dialRouter(t, r, "primary")
	if err := c.SetReadBuffer(16 << 10); err != nil { // else the kernel takes tens of megabytes
		t.Fatal(err)
	}
	write(t, c, startup("ann", "shop"))
	<-full
	if err := r.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no session", func() bool { return len(r.Sessions()) == 0 })
}

func TestCancelGoesToItsServer(t *testing.T) {
	a, b := newServer(t, "aaaa"), newServer(t, "bbbb")
	p := newServer(t, "p")
	table := tableOf(1, p.backend(RolePrimary), a.backend(RoleReplica), b.backend(RoleReplica))
	r, other := newRouter(t, nil), newRouter(t, nil)
	r.Publish(table)
	other.Publish(table)
	login(t, r, "replica")
	login(t, r, "replica")
	login(t, r, "primary")
	sendTo := func(t *testing.T, r *Router, listener, key string) {
		c := dialRouter(t, r, listener)
		write(t, c, packet(codeCancel, append([]byte{0, 0, 0, 7}, key...)))
		expectEnd(t, c)
	}
	send := func(t *testing.T, r *Router, key string) { sendTo(t, r, "replica", key) }
	t.Run("known key", func(t *testing.T) {
		eventually(t, "all keys known", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.keys) == 3 })
		send(t, r, "bbbb")
		if n := len(a.cancels); n != 0 || len(b.cancels) != 1 {
			t.Fatalf("cancel requests: %d at a, %d at b; want 0 and 1", n, len(b.cancels))
		}
		<-b.cancels
	})
	t.Run("through another router", func(t *testing.T) {
		send(t, other, "aaaa")
		if len(a.cancels) != 1 || len(b.cancels) != 1 || len(p.cancels) != 0 {
			t.Fatalf("cancel requests: %d at a, %d at b, %d at the primary; want one at each replica", len(a.cancels), len(b.cancels), len(p.cancels))
		}
	})
	t.Run("at the primary", func(t *testing.T) {
		<-a.cancels
		<-b.cancels
		sendTo(t, r, "primary", "p...")
		sendTo(t, other, "primary", "p...")
		sendTo(t, r, "replica", "p...") // a client's pool may have the wrong port: the key says whose it is
		if len(a.cancels) != 0 || len(b.cancels) != 0 || len(p.cancels) != 3 {
			t.Fatalf("cancel requests: %d at a, %d at b, %d at the primary; want three at the primary", len(a.cancels), len(b.cancels), len(p.cancels))
		}
	})
}

func TestLimitsQueue(t *testing.T) {
	a := newServer(t, "a")
	for name, limit := range map[string]func(*ListenerOptions){
		"listener": func(l *ListenerOptions) { l.MaxSessions = 1 },
		"backend":  func(l *ListenerOptions) { l.MaxPerBackend = 1 },
		"client":   func(l *ListenerOptions) { l.MaxPerClient = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, func(o *Options) { limit(&o.Listeners[0]) })
			r.Publish(tableOf(1, a.backend(RolePrimary)))
			first := login(t, r, "primary")
			next := dialRouter(t, r, "primary")
			write(t, next, startup("bob", "shop"))
			eventually(t, "one client held", func() bool { return r.Status().Listeners[0].Held == 1 })
			_ = first.Close()
			expectMessage(t, next, 'R')
		})
	}
}

func TestStrangersAreTurnedAwayAndCounted(t *testing.T) {
	r := newRouter(t, func(o *Options) { o.StartTimeout = 30 * time.Millisecond })
	for name, p := range map[string][]byte{
		"http": []byte("GET / HTTP/1.1\r\n\r\n"), "nothing": nil, "half a packet": startup("ann", "shop")[:9], "huge": {0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRouter(t, r, "primary")
			write(t, c, p)
			expectEnd(t, c)
		})
	}
}

// A reset at any byte of the start leaves nothing behind.
func TestResetAtEveryByte(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	p := startup("ann", "shop")
	for n := range len(p) + 1 {
		c := dialRouter(t, r, "primary")
		write(t, c, p[:n])
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	eventually(t, "no session and no connection to the server", func() bool {
		return len(r.Sessions()) == 0 && r.Status().Listeners[0].Sessions == 0 && a.open() == 0
	})
}

// A client that gets no session may ask for encryption once for each kind, and not for ever: each answer would give it more time.
func TestEncryptionIsDeclinedTwice(t *testing.T) {
	r := newRouter(t, func(o *Options) { o.Listeners[0].Hold.Timeout = 10 * time.Millisecond })
	c := dialRouter(t, r, "primary")
	for i := range 3 {
		write(t, c, packet(codeSSL, nil))
		if i == encryptions {
			expectEnd(t, c)
			break
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	c = dialRouter(t, r, "primary")
	for _, code := range []uint32{codeSSL, codeGSS} {
		write(t, c, packet(code, nil))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, c, startup("ann", "shop"))
	expectError(t, c, stateCannotConnectNow)
}
