package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// thorough counts the goroutines that open sessions, which is none as long as the relay's loops do.
func thorough() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "proxy.(*opening).serve(")
}

// muteServer is a server that reads a packet after another, and answers each with the next of answers; after them it says nothing more.
func muteServer(t *testing.T, got chan<- []byte, answers ...[]byte) Backend {
	return raw(t, func(c *net.TCPConn) {
		for i := 0; ; i++ {
			p, err := readPacket(c)
			if err != nil {
				return
			}
			got <- p
			if i < len(answers) {
				_, _ = c.Write(answers[i])
			}
		}
	})
}

// What is usual is opened by a loop alone, also while the server takes its time, and encryption that it refuses.
func TestUsualClientsNeedNoGoroutine(t *testing.T) {
	for name, first := range map[string][][]byte{
		"plain":              {startup("ann", "shop")},
		"ssl is refused":     {packet(codeSSL, nil), startup("ann", "shop")},
		"both are refused":   {packet(codeGSS, nil), packet(codeSSL, nil), startup("ann", "shop")},
		"ssl passes through": {packet(codeSSL, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 8)
			answers := make([][]byte, len(first)-1)
			for i := range answers {
				answers[i] = []byte{'N'}
			}
			r := newRouter(t, nil)
			r.Publish(tableOf(1, muteServer(t, got, answers...)))
			eventually(t, "the table is in use", func() bool { return len(r.Status().Backends) > 0 }) // who comes before waits for it, on a goroutine
			c := dialRouter(t, r, "primary")
			for i, p := range first {
				write(t, c, p)
				if sent := <-got; !bytes.Equal(sent, p) {
					t.Fatalf("the server got %q, want %q", sent, p)
				}
				if i < len(answers) {
					if no := make([]byte, 1); !bytes.Equal(readN(t, c, no), []byte{'N'}) {
						t.Fatalf("the answer to an encryption request is %q", no)
					}
				}
			}
			if n := thorough(); n > 0 {
				t.Fatalf("%d goroutines open the session", n)
			}
			if s := r.Sessions(); len(s) != 1 || s[0].Backend != "raw" {
				t.Fatalf("sessions: %+v", s)
			}
			if err := r.Kill(r.Sessions()[0].ID); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func readN(t *testing.T, c net.Conn, p []byte) []byte {
	t.Helper()
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// As long as the client has had no byte, the end of its server, or of the server's term, is not the client's trouble.
func TestAwaitedAnswerIsSoughtElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		answers [][]byte
		first   []byte
	}{
		"plain":          {},
		"ssl is refused": {answers: [][]byte{{'N'}}, first: packet(codeSSL, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 8)
			old, next := muteServer(t, got, c.answers...), newServer(t, "next")
			old.Name = "old"
			r := newRouter(t, nil)
			r.Publish(tableOf(1, old))
			client := dialRouter(t, r, "primary")
			if c.first != nil {
				write(t, client, c.first)
				readN(t, client, make([]byte, 1))
				<-got
			}
			write(t, client, startup("ann", "shop"))
			<-got
			table := tableOf(2, Backend{Name: "old", Addr: old.Addr, Role: RoleReplica, Running: true}, next.backend(RolePrimary))
			r.Publish(table)
			expectMessage(t, client, 'R')
			expectMessage(t, client, 'K')
			expectMessage(t, client, 'Z')
			expectEcho(t, client, "at the new primary")
			if s := r.Status().Backends; s[0].Suspect || s[1].Suspect {
				t.Errorf("a change of the term made a server suspect: %+v", s)
			}
		})
	}
}

// A client that goes away when its encryption request is declined (sslmode=require), or whose next packet comes in pieces, says nothing against the server.
func TestDeclinedClientHarmsNoServer(t *testing.T) {
	hello := startup("ann", "shop")
	for name, next := range map[string]func(t *testing.T, c *net.TCPConn){
		"closes": func(t *testing.T, c *net.TCPConn) { _ = c.Close() },
		"resets": func(t *testing.T, c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"in pieces": func(t *testing.T, c *net.TCPConn) {
			write(t, c, hello[:10])
			eventually(t, "a goroutine has the client", func() bool { return thorough() > 0 })
			write(t, c, hello[10:])
			expectMessage(t, c, 'R')
			_ = c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, "one")
			r := newRouter(t, nil)
			r.Publish(tableOf(1, server.backend(RolePrimary)))
			c := dialRouter(t, r, "primary")
			write(t, c, packet(codeSSL, nil))
			if no := readN(t, c, make([]byte, 1)); no[0] != 'N' {
				t.Fatalf("answered %q", no)
			}
			next(t, c)
			eventually(t, "the session has gone", func() bool { return len(r.Sessions()) == 0 && server.open() == 0 && thorough() == 0 })
			r.mu.Lock()
			defer r.mu.Unlock()
			if n := r.listeners[0].place("one").failed; n > 0 {
				t.Errorf("the server is told to have failed %d times", n)
			}
		})
	}
}

// Most clients ask for encryption first, as libpq does by itself: who they are is in the packet that follows where the server has none.
func TestSessionsAfterADeclinedRequestHaveAName(t *testing.T) {
	for name, requests := range map[string][]uint32{"none": nil, "SSL": {codeSSL}, "GSS and SSL": {codeGSS, codeSSL}} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, "one")
			r := newRouter(t, nil)
			r.Publish(tableOf(1, server.backend(RolePrimary)))
			c := dialRouter(t, r, "primary")
			for _, code := range requests {
				write(t, c, packet(code, nil))
				if no := readN(t, c, make([]byte, 1)); no[0] != 'N' {
					t.Fatalf("answered %q", no)
				}
			}
			write(t, c, startup("ann", "shop"))
			expectMessage(t, c, 'R')
			if s := r.Sessions(); len(s) != 1 || s[0].User != "ann" || s[0].Database != "shop" || s[0].Encrypted {
				t.Errorf("sessions: %+v", s)
			}
			_ = c.Close()
			eventually(t, "the session has gone", func() bool { return len(r.Sessions()) == 0 })
		})
	}
}

// The same for a server that is lost before it has answered.
func TestLostServerIsNotTheClientsTrouble(t *testing.T) {
	for name, linger := range map[string]int{"closes": -1, "resets": 0} {
		t.Run(name, func(t *testing.T) {
			next := newServer(t, "next")
			r := newRouter(t, nil)
			lost := raw(t, func(c *net.TCPConn) {
				_, _ = readPacket(c)
				_ = c.SetLinger(linger)
			})
			lost.Role = RoleReplica
			r.Publish(tableOf(1, lost, next.backend(RoleReplica)))
			for range 3 {
				expectEcho(t, login(t, r, "replica"), "some replica answers")
			}
		})
	}
}

// Who asked for the end of a session, or closes, does not wait for the answer.
func TestEndWhileTheAnswerIsAwaited(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Router, *net.TCPConn){
		"killed": func(t *testing.T, r *Router, c *net.TCPConn) {
			if err := r.Kill(r.Sessions()[0].ID); err != nil {
				t.Fatal(err)
			}
			expectEnd(t, c)
		},
		"client closes": func(_ *testing.T, _ *Router, c *net.TCPConn) { _ = c.Close() },
		"client resets": func(_ *testing.T, _ *Router, c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"no server left": func(t *testing.T, r *Router, c *net.TCPConn) {
			r.Publish(tableOf(0))
			expectError(t, c, stateCannotConnectNow)
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 8)
			r := newRouter(t, func(o *Options) { o.Listeners[0].Hold.Timeout = 10 * time.Millisecond })
			r.Publish(tableOf(1, muteServer(t, got)))
			c := dialRouter(t, r, "primary")
			write(t, c, startup("ann", "shop"))
			<-got
			end(t, r, c)
			eventually(t, "no session", func() bool { return len(r.Sessions()) == 0 && r.Status().Listeners[0].Sessions == 0 && thorough() == 0 })
		})
	}
}

// A client that closes one half after its packet gets the answer that comes soon.
func TestHalfCloseBeforeTheAnswer(t *testing.T) {
	r := newRouter(t, nil)
	asked, left := make(chan struct{}), make(chan struct{})
	r.Publish(tableOf(1, raw(t, func(c *net.TCPConn) {
		_, _ = readPacket(c)
		close(asked)
		<-left
		_, _ = c.Write(message('Z', []byte{'I'}))
		_, err := c.Read(make([]byte, 1))
		_, _ = c.Write(message('D', []byte(errorText(err))))
	})))
	c := dialRouter(t, r, "primary")
	write(t, c, startup("ann", "shop"))
	<-asked
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(left)
	expectMessage(t, c, 'Z')
	if got := expectMessage(t, c, 'D'); string(got) != "EOF" {
		t.Fatalf("the server reads %q after the client's half-close", got)
	}
	expectEnd(t, c)
}

func errorText(err error) string {
	if err == nil {
		return "no end"
	}
	return err.Error()
}

// A client that says nothing, or half of something, is a goroutine's after a moment, and has its time there.
func TestSlowClientsHaveTheirTime(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	p := startup("ann", "shop")
	quiet, half, asked := dialRouter(t, r, "primary"), dialRouter(t, r, "primary"), dialRouter(t, r, "primary")
	write(t, half, p[:9])
	write(t, asked, packet(codeSSL, nil))
	readN(t, asked, make([]byte, 1))
	eventually(t, "all are given to goroutines", func() bool { return thorough() == 3 })
	if n := r.mute.Load(); n != 2 {
		t.Errorf("%d clients are counted that have said nothing, want 2", n)
	}
	write(t, quiet, p)
	write(t, half, p[9:])
	write(t, asked, p)
	for _, c := range []net.Conn{quiet, half, asked} {
		expectMessage(t, c, 'R')
	}
	eventually(t, "all are relayed", func() bool { return thorough() == 0 && r.mute.Load() == 0 })
}

// The router's end is no time for clients that have said nothing.
func TestStopDoesNotWaitForMuteClients(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := dialRouter(t, r, "primary")
	eventually(t, "a mute client", func() bool { return r.mute.Load() == 1 })
	now, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- r.Stop(now) }()
	expectEnd(t, c)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// FuzzClient sends whatever bytes in whatever pieces, and leaves in one of three ways. A server gets nothing but a prefix of what its client has
// sent, and nothing is left in the end, by both ways to a session.
func FuzzClient(f *testing.F) {
	login := startup("ann", "shop")
	f.Add(login, []byte{}, uint8(0))
	f.Add(login, []byte{3, 8, 9}, uint8(1))
	f.Add(append(packet(codeSSL, nil), login...), []byte{8}, uint8(2))
	f.Add(append(packet(codeSSL, nil), login...), []byte{}, uint8(3))
	f.Add([]byte{tlsHandshake, 3, 1, 0, 4, 1, 2, 3, 4}, []byte{2}, uint8(4))
	f.Add(packet(codeCancel, []byte{0, 0, 0, 7, 'a', '.', '.', '.'}), []byte{}, uint8(5))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{1}, uint8(6))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0}, []byte{}, uint8(7))
	f.Fuzz(func(t *testing.T, sent, cuts []byte, how uint8) {
		if len(sent) > 64<<10 {
			return
		}
		bare := newBare(t, how&4 == 0)
		r := newRouter(t, func(o *Options) {
			o.StartTimeout = 50 * time.Millisecond
			other := o.Listeners[0]
			other.Name, other.ProxyFrom = "thorough", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // nobody's; but it takes the loop's way away
			o.Listeners = []ListenerOptions{o.Listeners[0], other}
		})
		r.Publish(tableOf(1, bare.backend))
		for _, door := range []string{"primary", "thorough"} {
			heard := converse(t, dialRouter(t, r, door), sent, cuts, int(how)%3)
			if len(heard) > 0 && !bytes.ContainsAny(heard[:1], "ESNR") {
				t.Errorf("%s: the client heard %q", door, heard)
			}
			eventually(t, "nothing left", func() bool {
				return len(r.Sessions()) == 0 && r.mute.Load() == 0 && r.Status().Listeners[0].Sessions == 0 && thorough() == 0 && bare.open.Load() == 0
			})
			for _, got := range bare.take() {
				if !bytes.HasPrefix(sent, got) {
					t.Errorf("%s: the server got %q of %q", door, got, sent)
				}
			}
		}
	})
}

// converse sends and leaves: by closing one half and reading to the end, by closing, or by a reset.
func converse(t *testing.T, c *net.TCPConn, sent, cuts []byte, how int) (heard []byte) {
	t.Helper()
	for _, cut := range append(cuts, 255) {
		n := min(int(cut), len(sent))
		if cut == 255 {
			n = len(sent)
		}
		if _, err := c.Write(sent[:n]); err != nil {
			break // it has been turned away
		}
		sent = sent[n:]
	}
	switch how {
	case 0:
		_ = c.CloseWrite()
		var err error
		if heard, err = io.ReadAll(c); errors.Is(err, net.ErrClosed) {
			t.Error(err)
		} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Error("the client's connection stays open")
		}
	case 1:
		_ = c.SetLinger(0)
	}
	_ = c.Close()
	return heard
}

// bare is a server that refuses or accepts encryption, greets once, and takes whatever comes.
type bare struct {
	backend Backend
	open    atomic.Int64
	mu      sync.Mutex
	got     [][]byte // of each connection
}

func newBare(t *testing.T, refuse bool) *bare {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bare{backend: Backend{Name: "bare", Addr: ln.Addr().String(), Role: RolePrimary, Running: true}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.open.Add(1)
			all.Go(func() {
				defer b.open.Add(-1)
				b.talk(c, refuse)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return b
}

func (b *bare) talk(c net.Conn, refuse bool) {
	var all []byte
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, all)
	}()
	buf, greeted := make([]byte, 32<<10), false
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		all = append(all, buf[:n]...)
		switch code := codeOf(buf[:n]); {
		case greeted:
		case code == codeCancel:
			return
		case code == codeSSL || code == codeGSS:
			answer := byte('S')
			if greeted = !refuse; refuse {
				answer = 'N'
			}
			_, _ = c.Write([]byte{answer})
		default:
			greeted = true
			_, _ = c.Write(message('R', []byte{0, 0, 0, 0}))
		}
	}
}

func codeOf(p []byte) uint32 {
	if len(p) < 8 {
		return 0
	}
	return binary.BigEndian.Uint32(p[4:])
}

// take returns what the connections that have ended got.
func (b *bare) take() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}
