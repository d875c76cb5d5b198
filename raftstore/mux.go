package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The first byte on a connection to the peer port says what it carries.
const (
	protoRaft byte = 0x52 // hashicorp/raft's own transport
	protoRPC  byte = 0x51 // ours: see rpc.go
)

// greetingTimeout bounds the time from accepting a connection to knowing what it is.
const greetingTimeout = 5 * time.Second

// greeting opens every connection: which protocol, and who talks to whom. A connection for another cluster or another
// member is closed before a word of Raft is spoken: addresses are reused, and a leader of a cluster that this host has
// left must not be able to command it.
type greeting struct {
	Proto   byte
	Cluster uint64 // 0 before the sender belongs to one
	From    uint64
	To      uint64 // 0 when the sender knows only the address
}

// maxGreeting bounds a greeting on the wire.
const maxGreeting = 64

func (g greeting) write(w io.Writer) error {
	var body writer
	body.u64(g.Cluster)
	body.u64(g.From)
	body.u64(g.To)
	_, err := w.Write(append([]byte{g.Proto, byte(len(body))}, body...))
	return err
}

func readGreeting(r io.Reader) (greeting, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return greeting{}, err
	}
	if head[1] > maxGreeting {
		return greeting{}, errRequestOutOfBounds
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(r, body); err != nil {
		return greeting{}, err
	}
	in := reader{buf: body}
	g := greeting{Proto: head[0], Cluster: in.u64(), From: in.u64(), To: in.u64()}
	return g, in.done("greeting")
}

// peerPort is the one listener that peers speak to.
type peerPort struct {
	ln    net.Listener
	tls   *tls.Config // nil: plain TCP
	admit func(greeting) error
	raft  chan net.Conn
	serve func(net.Conn, greeting)
	log   *slog.Logger
	said  *repeats

	done chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex // guards conns and closed
	conns  map[net.Conn]struct{}
	closed bool
}

func newPeerPort(ln net.Listener, log *slog.Logger) *peerPort {
	return &peerPort{
		ln: ln, log: log, said: &repeats{}, raft: make(chan net.Conn), done: make(chan struct{}), conns: map[net.Conn]struct{}{},
	}
}

// start begins to accept. admit judges greetings; serve handles a connection of our RPC until it ends.
func (p *peerPort) start(admit func(greeting) error, serve func(net.Conn, greeting)) {
	p.admit, p.serve = admit, serve
	p.wg.Go(p.acceptLoop)
}

func (p *peerPort) acceptLoop() {
	for {
		conn, err := p.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select { // out of descriptors, most likely: try again soon
			case <-p.done:
				return
			case <-time.After(50 * time.Millisecond):
				continue
			}
		}
		if p.track(conn) {
			p.wg.Go(func() { p.handle(conn) })
		}
	}
}

// track remembers a connection so that close can end it; false when it is too late.
func (p *peerPort) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *peerPort) untrack(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *peerPort) handle(raw net.Conn) {
	conn, g, err := p.greet(raw)
	if err != nil || g.Proto != protoRaft {
		defer p.untrack(raw)
		defer raw.Close()
	}
	if err != nil {
		p.rejected(raw, err)
		return
	}
	if g.Proto == protoRPC {
		p.serve(conn, g)
		return
	}
	// Raft's transport takes the connection over; it stays tracked, since Raft itself never closes idle ones.
	select {
	case p.raft <- &raftConn{Conn: conn, port: p, raw: raw}:
	case <-p.done:
		raw.Close()
	}
}

// rejected tells, in etcd's words, of a peer that could not show that it is one: a certificate that is not good, or another protocol. Each cause
// is told once in a while. Whoever came and went without a word was a probe of the port.
func (p *peerPort) rejected(c net.Conn, err error) {
	for _, quiet := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, os.ErrDeadlineExceeded, errNotMeant} {
		if errors.Is(err, quiet) {
			return
		}
	}
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	if p.said.due("rejected "+err.Error(), []any{host}, time.Now()) {
		p.log.Warn("rejected connection on peer endpoint", "remote-addr", c.RemoteAddr().String(), "error", err)
	}
}

// errNotMeant is a greeting for somebody else, of which its sender tells.
var errNotMeant = errors.New("meant for somebody else")

// raftConn is a connection in the hands of Raft's transport.
type raftConn struct {
	net.Conn
	port *peerPort
	raw  net.Conn
}

func (c *raftConn) Close() error {
	c.port.untrack(c.raw)
	return c.Conn.Close()
}

func (p *peerPort) greet(raw net.Conn) (net.Conn, greeting, error) {
	if err := raw.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return nil, greeting{}, err
	}
	conn := raw
	if p.tls != nil {
		conn = tls.Server(raw, p.tls)
	}
	g, err := readGreeting(conn)
	if err != nil {
		return nil, greeting{}, err
	}
	if g.Proto != protoRaft && g.Proto != protoRPC {
		return nil, greeting{}, fmt.Errorf("unknown protocol %#x", g.Proto)
	}
	if err := p.admit(g); err != nil {
		return nil, greeting{}, fmt.Errorf("%w: %w", errNotMeant, err)
	}
	return conn, g, conn.SetDeadline(time.Time{})
}

// close ends the listener and every connection, and waits for their goroutines.
func (p *peerPort) close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	err := p.ln.Close()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

// dialer opens connections to peer ports.
type dialer struct {
	dial    func(ctx context.Context, addr string) (net.Conn, error)
	tls     *tls.Config
	timeout time.Duration
}

// open connects to addr and sends a greeting.
func (d *dialer) open(ctx context.Context, addr string, g greeting) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	raw, err := d.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	conn, err := d.secure(ctx, raw, addr)
	if err != nil {
		raw.Close()
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := errors.Join(conn.SetDeadline(deadline), g.write(conn), conn.SetDeadline(time.Time{})); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d *dialer) secure(ctx context.Context, raw net.Conn, addr string) (net.Conn, error) {
	if d.tls == nil {
		return raw, nil
	}
	cfg := d.tls
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	conn := tls.Client(raw, cfg)
	return conn, conn.HandshakeContext(ctx)
}
