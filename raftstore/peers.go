package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	// errConnLost says that the connection ended between request and reply.
	errConnLost = errors.New("raftstore: connection to the peer lost")
	// errNotSent says that the request did not leave this host.
	errNotSent = errors.New("raftstore: the peer cannot be reached")
)

// peerConns keeps one connection of our RPC to each peer.
type peerConns struct {
	dialer  *dialer
	greet   func(to uint64) greeting
	timeout time.Duration

	mu     sync.Mutex // guards slots and closed
	slots  map[peerKey]*peerSlot
	closed bool
}

type peerKey struct {
	id   uint64
	addr string
}

// peerSlot is the place of one peer's connection. Its lock is held while dialing, so that one dial serves all waiters.
type peerSlot struct {
	lock chan struct{} // a lock that can be waited for with a context
	conn *rpcConn
}

func newPeerConns(d *dialer, greet func(to uint64) greeting, timeout time.Duration) *peerConns {
	return &peerConns{dialer: d, greet: greet, timeout: timeout, slots: map[peerKey]*peerSlot{}}
}

// call calls a member by id and address; id 0 when only the address is known.
func (p *peerConns) call(ctx context.Context, id uint64, addr string, m method, body []byte) ([]byte, error) {
	conn, err := p.conn(ctx, peerKey{id: id, addr: addr})
	if err != nil {
		return nil, err
	}
	return conn.call(ctx, m, body)
}

// callWhile is rpcConn's, on a connection that is opened when there is none.
func (p *peerConns) callWhile(ctx context.Context, over <-chan struct{}, key peerKey, reply chan rpcReply, m method, body []byte) (rpcReply, error) {
	conn := p.ready(key)
	if conn == nil {
		var err error
		if conn, err = p.connWhile(ctx, over, key); err != nil {
			return rpcReply{}, err
		}
	}
	return conn.callWhile(ctx, over, reply, m, body)
}

// connWhile is conn for as long as over is open; then it is errNotSent, as when the peer cannot be reached.
func (p *peerConns) connWhile(ctx context.Context, over <-chan struct{}, key peerKey) (*rpcConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return p.conn(ctx, key)
}

// ready is a peer's connection if it stands.
func (p *peerConns) ready(key peerKey) *rpcConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slots[key]
	if p.closed || s == nil || s.conn == nil {
		return nil
	}
	select {
	case <-s.conn.done:
		return nil
	default:
		return s.conn
	}
}

func (p *peerConns) slot(key peerKey) (*peerSlot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errNotSent
	}
	s := p.slots[key]
	if s == nil {
		s = &peerSlot{lock: make(chan struct{}, 1)}
		p.slots[key] = s
	}
	return s, nil
}

func (p *peerConns) conn(ctx context.Context, key peerKey) (*rpcConn, error) {
	s, err := p.slot(key)
	if err != nil {
		return nil, err
	}
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNotSent, ctx.Err())
	}
	defer func() { <-s.lock }()
	if s.conn != nil {
		select {
		case <-s.conn.done:
		default:
			return s.conn, nil
		}
	}
	raw, err := p.dialer.open(ctx, key.addr, p.greetTo(key.id))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	conn := newRPCConn(raw, p.timeout)
	if !p.keep(s, conn) {
		conn.end()
		return nil, errNotSent
	}
	return conn, nil
}

func (p *peerConns) greetTo(id uint64) greeting {
	g := p.greet(id)
	g.Proto = protoRPC
	return g
}

func (p *peerConns) keep(s *peerSlot, c *rpcConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	s.conn = c
	return true
}

// drop ends the connections, so that the next ones carry a new greeting.
func (p *peerConns) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, s := range p.slots {
		if s.conn != nil {
			s.conn.end()
		}
		delete(p.slots, key)
	}
}

func (p *peerConns) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}

// dialTimeout is how long a connection may take to open, from the election timeout: long enough for a slow network,
// short enough that a peer that is gone does not hold up others.
func dialTimeout(election time.Duration) time.Duration { return max(4*election, time.Second) }
