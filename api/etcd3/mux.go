package etcd3

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// handshakeTimeout bounds how long a client may take to show which protocol it speaks. HTTP clients may open connections
// ahead of need, so it is generous.
const handshakeTimeout = 60 * time.Second

// h2Preface is how every HTTP/2 connection starts (RFC 9113, section 3.4); no HTTP/1 request starts so.
const h2Preface = "PRI * HTTP/2.0"

// protocolMux accepts connections of one listener and gives each to the gRPC or to the HTTP/1 side. The protocol is
// what ALPN settled on; where there is none, the first bytes tell.
type protocolMux struct {
	listener net.Listener
	tls      *tls.Config
	// mixed serves clients without TLS too: the first byte tells.
	mixed bool
	log   *slog.Logger
	grpc  *handoff
	http  *handoff

	mu      sync.Mutex            // guards the fields below
	unknown map[net.Conn]struct{} // connections that have not shown their protocol
	closed  bool
}

func newProtocolMux(l net.Listener, conf *tls.Config, log *slog.Logger) *protocolMux {
	return &protocolMux{
		listener: l, tls: withALPN(conf), log: log, grpc: newHandoff(l.Addr()), http: newHandoff(l.Addr()),
		unknown: map[net.Conn]struct{}{},
	}
}

// withALPN offers HTTP/2 only to clients that know nothing else, which are the gRPC ones. Whoever also speaks HTTP/1.1
// (curl, browsers) gets that, where the JSON gateway and the pages are.
func withALPN(conf *tls.Config) *tls.Config {
	if conf == nil {
		return nil
	}
	base := conf.Clone()
	base.NextProtos = []string{"h2"}
	inner := conf.GetConfigForClient
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen := conf
		if inner != nil {
			c, err := inner(hello)
			if err != nil {
				return nil, err
			}
			if c != nil {
				chosen = c
			}
		}
		chosen = chosen.Clone()
		chosen.GetConfigForClient = nil
		chosen.NextProtos = []string{"h2"}
		if len(hello.SupportedProtos) == 0 || slices.Contains(hello.SupportedProtos, "http/1.1") {
			chosen.NextProtos = []string{"http/1.1"}
		}
		return chosen, nil
	}
	return base
}

// serve accepts until the listener is closed, which is its normal end (nil), or fails.
func (m *protocolMux) serve() error {
	defer m.close()
	for {
		conn, err := m.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		var temporary interface{ Temporary() bool }
		if errors.As(err, &temporary) && temporary.Temporary() { // out of descriptors: clients go, and then there are some
			time.Sleep(acceptPause)
			continue
		}
		if err != nil {
			return err
		}
		go m.dispatch(conn)
	}
}

// close ends both sides and drops the connections that belong to neither yet.
func (m *protocolMux) close() {
	m.grpc.Close()
	m.http.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for conn := range m.unknown {
		conn.Close()
	}
}

// acceptPause is the wait after an accept that failed for want of a resource.
const acceptPause = 50 * time.Millisecond

// dispatch gives one connection to its side, or closes it when it does not show which in time.
func (m *protocolMux) dispatch(conn net.Conn) {
	if !m.track(conn) {
		conn.Close()
		return
	}
	defer m.untrack(conn)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	side, ready, err := m.classify(ctx, conn)
	if err != nil {
		m.rejected(conn, err)
		conn.Close()
		return
	}
	side.give(ready)
}

// rejected tells of a client whose handshake failed, in etcd's words. One that came and went without a word was a probe of the port.
func (m *protocolMux) rejected(conn net.Conn, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	m.log.Warn("rejected connection on client endpoint", "remote-addr", conn.RemoteAddr().String(), "error", err)
}

func (m *protocolMux) track(conn net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unknown[conn] = struct{}{}
	return !m.closed
}

func (m *protocolMux) untrack(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.unknown, conn)
}

// classify is the side of a connection, and the connection as that side shall have it.
func (m *protocolMux) classify(ctx context.Context, conn net.Conn) (*handoff, net.Conn, error) {
	if m.tls == nil {
		return m.sniff(ctx, conn)
	}
	if m.mixed {
		p, isTLS, err := peekTLS(ctx, conn)
		if err != nil {
			return nil, nil, err
		}
		if !isTLS {
			return m.sniff(ctx, p)
		}
		conn = p
	}
	secure := tls.Server(conn, m.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case "h2":
		return m.grpc, secure, nil
	case "http/1.1":
		return m.http, secure, nil
	}
	return m.sniff(ctx, secure) // a client without ALPN
}

// recordHandshake is the first byte that a TLS client sends (RFC 8446, section 5.1).
const recordHandshake = 0x16

// peekTLS says whether the client begins a TLS handshake.
func peekTLS(ctx context.Context, conn net.Conn) (*peekedConn, bool, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, false, err
	}
	p := &peekedConn{Conn: conn, r: bufio.NewReaderSize(conn, 512)}
	first, err := p.r.Peek(1)
	if err != nil {
		return nil, false, err
	}
	return p, first[0] == recordHandshake, conn.SetReadDeadline(time.Time{})
}

// sniff looks at the first bytes.
func (m *protocolMux) sniff(ctx context.Context, conn net.Conn) (*handoff, net.Conn, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, nil, err
	}
	peeked := &peekedConn{Conn: conn, r: bufio.NewReaderSize(conn, 512)}
	h2, err := peeked.startsWith(h2Preface)
	if err != nil {
		return nil, nil, err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	if h2 {
		return m.grpc, peeked, nil
	}
	return m.http, peeked, nil
}

// peekedConn is a connection whose first bytes have been looked at.
type peekedConn struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn; once the peeked bytes are gone it goes straight to the connection.
func (c *peekedConn) Read(p []byte) (int, error) {
	if c.r != nil && c.r.Buffered() > 0 {
		return c.r.Read(p)
	}
	c.r = nil
	return c.Conn.Read(p)
}

// startsWith reads no further than the first byte that differs: a short request must not wait for more bytes.
func (c *peekedConn) startsWith(prefix string) (bool, error) {
	for n := 1; n <= len(prefix); n++ {
		head, err := c.r.Peek(n)
		if err != nil {
			return false, err
		}
		if head[n-1] != prefix[n-1] {
			return false, nil
		}
	}
	return true, nil
}

// handoff is a net.Listener whose connections come from a protocolMux.
type handoff struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandoff(addr net.Addr) *handoff {
	return &handoff{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handoff) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.done:
		conn.Close()
	}
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return h.addr }
