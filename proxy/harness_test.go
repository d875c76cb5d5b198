package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"quorate/internal/boottime"
	"quorate/internal/soon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patienceOfTests bounds every wait of these tests; reaching it is a failure.
const patienceOfTests = 10 * time.Second

// commit makes a server answer that it is idle.
const commit = "commit"

// server is a PostgreSQL as far as a router can see: start-up packets, framed answers, cancel requests. What follows the
// start-up is echoed, framed as messages of type 'D'.
type server struct {
	t    *testing.T
	name string
	ln   net.Listener
	wg   sync.WaitGroup

	ssl     byte // answer to SSLRequest and GSSENCRequest
	refusal func(attempt int) []byte
	stalls  bool // after a refusal, in place of closing
	hello   []byte

	mu       sync.Mutex
	conns    map[net.Conn]bool
	attempts int
	starts   [][]byte
	cancels  chan []byte
	ended    chan error // how reading from a client ended
}

func newServer(t *testing.T, name string) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, name: name, ln: ln, ssl: 'N', conns: make(map[net.Conn]bool), cancels: make(chan []byte, 16), ended: make(chan error, 1024)}
	key := message('K', append([]byte{0, 0, 0, 7}, []byte(name + "....")[:4]...))
	s.hello = append(append(message('R', []byte{0, 0, 0, 0}), key...), message('Z', []byte{'I'})...)
	s.wg.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

func (s *server) addr() string { return s.ln.Addr().String() }

func (s *server) backend(role Role) Backend {
	return Backend{Name: s.name, Addr: s.addr(), Role: role, Running: true}
}

func (s *server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				_ = c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			s.talk(c)
		})
	}
}

// open is how many connections the server has.
func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// tried is how many sessions were asked of the server.
func (s *server) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

func (s *server) stop() {
	_ = s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) talk(c net.Conn) {
	for {
		p, err := readPacket(c)
		if err != nil {
			s.ended <- err
			return
		}
		switch binary.BigEndian.Uint32(p[4:]) {
		case codeCancel:
			s.cancels <- p
			return
		case codeSSL, codeGSS:
			if _, err := c.Write([]byte{s.ssl}); err != nil {
				return
			}
			if s.ssl != 'N' {
				s.echo(c, false)
				return
			}
			continue
		}
		s.mu.Lock()
		s.attempts++
		n := s.attempts
		s.starts = append(s.starts, p)
		s.mu.Unlock()
		if s.refusal != nil {
			if no := s.refusal(n); no != nil {
				_, _ = c.Write(no)
				if s.stalls {
					_, _ = io.Copy(io.Discard, c)
				}
				return
			}
		}
		_, _ = c.Write(s.hello)
		s.echo(c, true)
		return
	}
}

func (s *server) echo(c net.Conn, framed bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			s.ended <- err
			return
		}
		p := buf[:n]
		switch {
		case framed && string(p) == commit:
			p = message('Z', []byte{'I'})
		case framed:
			p = message('D', p)
		}
		if _, err := c.Write(p); err != nil {
			s.ended <- err
			return
		}
	}
}

func readPacket(c net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	p := append(head, make([]byte, binary.BigEndian.Uint32(head)-4)...)
	_, err := io.ReadFull(c, p[4:])
	return p, err
}

func message(kind byte, body []byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(p, body...)
}

func packet(code uint32, body []byte) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(len(body)+8))
	return append(binary.BigEndian.AppendUint32(p, code), body...)
}

func startup(user, database string) []byte {
	return packet(3<<16, []byte("user\x00"+user+"\x00database\x00"+database+"\x00application_name\x00test\x00\x00"))
}

// newRouter starts a router with the listeners given (the default two on free ports when none is) and no table.
func newRouter(t *testing.T, change func(*Options)) *Router {
	t.Helper()
	o := Options{
		Listeners: []ListenerOptions{
			{Name: "primary", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetPrimary}},
			{Name: "replica", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetReplica}},
		},
		Registerer: prometheus.NewRegistry(),
		Logger:     slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		if err := r.Stop(now); err != nil {
			t.Error(err)
		}
	})
	return r
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// tableOf is valid for an hour.
func tableOf(rev int64, backends ...Backend) Table {
	t := Table{Scope: "test", Backends: backends, ValidUntil: boottime.Now().Add(time.Hour)}
	if rev > 0 {
		t.Term = Term{Cluster: 1, Rev: rev}
	}
	return t
}

func dialRouter(t *testing.T, r *Router, listener string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr(listener).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patienceOfTests)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// login opens a session and reads the server's greeting.
func login(t *testing.T, r *Router, listener string) *net.TCPConn {
	t.Helper()
	c := dialRouter(t, r, listener)
	write(t, c, startup("ann", "shop"))
	expectMessage(t, c, 'R')
	expectMessage(t, c, 'K')
	expectMessage(t, c, 'Z')
	return c
}

func write(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

func expectMessage(t *testing.T, c net.Conn, kind byte) []byte {
	t.Helper()
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatalf("waiting for message %q: %v", kind, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatalf("in message %q: %v", head[0], err)
	}
	if head[0] != kind {
		t.Fatalf("message %q %q, want %q", head[0], body, kind)
	}
	return body
}

// expectError reads an ErrorResponse and the end that follows it.
func expectError(t *testing.T, c net.Conn, state string) string {
	t.Helper()
	body := expectMessage(t, c, 'E')
	got, text := sqlState(message('E', body))
	if got != state {
		t.Fatalf("SQLSTATE %s (%s), want %s", got, text, state)
	}
	expectEnd(t, c)
	_ = c.Close() // else the router waits for it
	return text
}

func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	if n > 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d more bytes, then %v; want the end", n, err)
	}
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Fatal("the connection stays open; want the end")
	}
}

func expectEcho(t *testing.T, c net.Conn, text string) {
	t.Helper()
	write(t, c, []byte(text))
	if got := string(expectMessage(t, c, 'D')); got != text {
		t.Fatalf("echo %q, want %q", got, text)
	}
}

// eventually polls a condition that no event announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	soon.True(t, patienceOfTests, what, ok)
}
