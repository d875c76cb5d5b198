package rest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, so that deadlines are those of a bubble.
type pipes struct {
	in   chan net.Conn
	done chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial() client {
	ours, theirs := net.Pipe()
	gone := make(chan struct{})
	p.in <- &serverEnd{Conn: theirs, close: sync.OnceFunc(func() { close(gone) })}
	return client{ours, gone}
}

// client is a client's end of a connection; gone is closed when the server lets it go.
type client struct {
	net.Conn
	gone <-chan struct{}
}

type serverEnd struct {
	net.Conn
	close func()
}

func (e *serverEnd) Close() error {
	defer e.close()
	return e.Conn.Close()
}

// inBubble serves a node over pipes in a bubble of its own time.
func inBubble(t *testing.T, m func() *memory, test func(t *testing.T, p *pipes, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		s := newTestServer(t, m(), func(o *Options) {
			o.Listen = func(context.Context, string, string) (net.Listener, error) { return p, nil }
		})
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, p, s)
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

// TestSlowClients: whoever does not send what it promised is let go, at a stated moment.
func TestSlowClients(t *testing.T) {
	for name, c := range map[string]struct {
		sent   string
		after  time.Duration
		answer string
	}{
		"no request":                {"", headerTimeout, ""},
		"half a line":               {"GET /pri", headerTimeout, ""},
		"no body":                   {"PATCH /config HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"ttl\":", readTimeout, "400 Bad Request"},
		"no body that nobody reads": {"GET /patroni HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n", readTimeout, "200 OK"},
		"idle":                      {"HEAD /replica HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout, "200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func() *memory { return cluster(`{}`) }, func(t *testing.T, p *pipes, _ *Server) {
				began := time.Now()
				conn := p.dial()
				defer conn.Close()
				go fmt.Fprint(conn, c.sent)
				all, err := io.ReadAll(conn)
				if err != nil || !strings.Contains(string(all), c.answer) {
					t.Errorf("%q %v", all, err)
				}
				// net/http lingers half a second after it has refused a request.
				if took := time.Since(began); took < c.after || took > c.after+time.Second {
					t.Errorf("let go after %v, not %v", took, c.after)
				}
			})
		})
	}
}

// TestLongAction: an action that takes longer than all bounds on connections is answered, and one whose client goes away goes on.
func TestLongAction(t *testing.T) {
	const hours = 3 * time.Hour
	var finished chan struct{}
	var m *memory
	long := func() *memory {
		m, finished = newMemory(), make(chan struct{})
		m.restart = func(RestartRequest) error {
			<-time.After(hours)
			close(finished)
			return nil
		}
		return m
	}
	inBubble(t, long, func(t *testing.T, p *pipes, _ *Server) {
		conn := p.dial()
		defer conn.Close()
		go fmt.Fprint(conn, "POST /restart HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "restarted successfully" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	})
	inBubble(t, long, func(t *testing.T, p *pipes, _ *Server) {
		conn := p.dial()
		fmt.Fprint(conn, "POST /restart HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		synctest.Wait()
		conn.Close()
		<-finished
		if m.cut.Load() {
			t.Error("the restart ended with its client")
		}
	})
}

// TestEventBeat: an idle stream shows signs of life, and a client that does not read is let go.
func TestEventBeat(t *testing.T) {
	inBubble(t, newMemory, func(t *testing.T, p *pipes, s *Server) {
		conn := p.dial()
		defer conn.Close()
		go fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
		began := time.Now()
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, ":") {
				break
			}
		}
		if took := time.Since(began); took != beat {
			t.Errorf("the first sign of life after %v", took)
		}
		began = time.Now()
		<-conn.gone // reading nothing
		if took := time.Since(began); took > 10*beat {
			t.Errorf("let go after %v", took)
		}
		synctest.Wait()
		if n := s.streams.Load(); n != 0 {
			t.Errorf("%d streams to clients that do not read", n)
		}
	})
}
