package raftstore

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// Our RPC: many calls at once over one connection. A frame is its length (4 bytes), the call's number (8 bytes) and a
// byte, then the body. In a request the byte is the method, in a reply it is 0 for a result and 1 for an error's text.

// method names a call.
type method byte

const (
	// methodHello asks a host who it is: founding, joining, "are you there".
	methodHello method = 1
	// methodPromise, methodRelease and methodFound are the founding: see founding.go.
	methodPromise method = 2
	methodRelease method = 3
	methodFound   method = 4
	// methodJoin asks the leader to take a host in.
	methodJoin method = 5
	// The rest is among members of one cluster only.
	methodPropose   method = 16 // forward a command to the leader
	methodReadIndex method = 17 // ask the leader how far to wait before a linearizable read
	methodConfirm   method = 18 // the leader asks: is there nobody newer than me? And tells of renewals
	methodLeases    method = 19 // a new leader asks what is known of leases
	methodRenew     method = 20 // forward a keep-alive
	methodTTL       method = 21 // forward the question for a lease's time
	methodMembers   method = 22 // forward a change of members
	methodHash      method = 23 // compare the members' data
	methodStanding  method = 24 // a member that was just started asks whether it should stand for election
	methodListed    method = 25 // a member without a leader asks whether it was removed
	methodForward   method = 26 // methodPropose with a tag; only failures are answered
)

// memberOnly says whether a method is for members of the same cluster alone.
func (m method) memberOnly() bool { return m >= methodPropose }

const (
	frameHeader = 4 + 8 + 1
	// maxFrame bounds a frame: a request of the largest size plus its envelope, and a reply of a large read within a
	// transaction.
	maxFrame = 64 << 20
)

func appendFrame(b []byte, id uint64, tag byte, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(8+1+len(body)))
	b = binary.BigEndian.AppendUint64(b, id)
	b = append(b, tag)
	return append(b, body...)
}

func readFrame(r io.Reader) (id uint64, tag byte, body []byte, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 9 || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("%w: frame of %d bytes", errRequestOutOfBounds, n)
	}
	body = make([]byte, n-9)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, 0, nil, err
	}
	return binary.BigEndian.Uint64(head[4:]), head[12], body, nil
}

// frameWriter sends frames of several goroutines over one connection. What gathers while a write is under way goes with the next one: under load
// a frame costs no system call of its own.
type frameWriter struct {
	conn    net.Conn
	timeout time.Duration

	mu      sync.Mutex // guards what follows
	waiting []byte     // frames that wait for the write under way
	spare   []byte     // the buffer of the last write
	writing bool       // a goroutine writes, and takes what waits
	room    *sync.Cond // less waits, or a write failed
	failed  error
}

// maxWaitingFrames is how many bytes of frames wait before their senders do.
const maxWaitingFrames = 4 << 20

func newFrameWriter(conn net.Conn, timeout time.Duration) *frameWriter {
	w := &frameWriter{conn: conn, timeout: timeout}
	w.room = sync.NewCond(&w.mu)
	return w
}

// send returns when the frame is written, or another goroutine is about to write it: after a failure of that one the connection has to
// be ended by it, as by whoever gets an error here.
func (w *frameWriter) send(id uint64, tag byte, body []byte) error {
	if len(body) > maxFrame-9 {
		return errRequestOutOfBounds
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing && len(w.waiting) > maxWaitingFrames && w.failed == nil {
		w.room.Wait()
	}
	if w.failed != nil {
		return w.failed
	}
	w.waiting = appendFrame(w.waiting, id, tag, body)
	if w.writing {
		return nil
	}
	w.writing = true
	for len(w.waiting) > 0 && w.failed == nil {
		w.flush()
	}
	w.writing = false
	return w.failed
}

// flush writes what waits; w.mu is held, but not while it writes.
func (w *frameWriter) flush() {
	out := w.waiting
	w.waiting, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	if err == nil {
		_, err = w.conn.Write(out)
	}
	w.mu.Lock()
	if cap(out) <= maxSpare {
		w.spare = out
	}
	w.failed = err
	w.room.Broadcast()
}

// maxSpare is the largest buffer that is kept between writes.
const maxSpare = 256 << 10

// handler answers one call. from is the caller's member id, cluster its cluster.
type handler func(ctx context.Context, m method, from greeting, body []byte) ([]byte, error)

// rpcServer serves calls on accepted connections.
type rpcServer struct {
	handle handler
	// forward takes the calls of methodForward, one by one and in order for each connection. They have no answer but failed's.
	forward func(from greeting, body []byte, failed func(error))
	timeout time.Duration // for a write
}

// maxConcurrentCalls bounds the calls of one peer in flight.
const maxConcurrentCalls = 4096

// serve answers calls until the connection ends; it returns when the last handler has.
func (s *rpcServer) serve(conn net.Conn, g greeting) {
	ctx, cancel := context.WithCancel(background)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer conn.Close()
	out := newFrameWriter(conn, s.timeout)
	slots := make(chan struct{}, maxConcurrentCalls)
	in := bufio.NewReaderSize(conn, 32<<10)
	var inOrder callQueue
	for {
		id, tag, body, err := readFrame(in)
		if err != nil {
			return
		}
		if method(tag) == methodForward {
			failed := func(err error) { sendReply(out, id, nil, err) }
			taken := inOrder.add(&wg, func() {
				if ctx.Err() == nil {
					s.forward(g, body, failed)
				}
			})
			if !taken {
				failed(etcderrors.ErrTooManyRequests)
			}
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.answer(ctx, out, g, id, method(tag), body)
		})
	}
}

func (s *rpcServer) answer(ctx context.Context, out *frameWriter, g greeting, id uint64, m method, body []byte) {
	b, err := s.handle(ctx, m, g, body)
	sendReply(out, id, b, err)
}

// sendReply sends a call's result.
func sendReply(out *frameWriter, id uint64, body []byte, err error) {
	tag := byte(0)
	if err == nil && len(body) > maxFrame-9 {
		err = etcderrors.ErrRequestTooLarge
	}
	if err != nil {
		tag, body = 1, []byte(wireText(err))
	}
	if out.send(id, tag, body) != nil {
		out.conn.Close() // the reader notices
	}
}

// callQueue runs calls one by one, in a goroutine that there is only while there are any.
type callQueue struct {
	mu      sync.Mutex // guards what follows
	waiting []func()
	running bool
}

// add is false when too many wait.
func (q *callQueue) add(wg *sync.WaitGroup, call func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxConcurrentCalls {
		return false
	}
	q.waiting = append(q.waiting, call)
	if !q.running {
		q.running = true
		wg.Go(q.run)
	}
	return true
}

func (q *callQueue) run() {
	for {
		q.mu.Lock()
		batch := q.waiting
		q.waiting = nil
		if len(batch) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, call := range batch {
			call()
		}
	}
}

// rpcConn is the calling side of one connection.
type rpcConn struct {
	out  *frameWriter
	done chan struct{} // closed when the connection has ended

	mu    sync.Mutex // guards what follows
	next  uint64
	calls map[uint64]chan rpcReply
	heard time.Time // when the last reply came
	ended bool
}

type rpcReply struct {
	body []byte
	err  error
	// applied is the outcome of a proposal that this node was told by its own copy of the log entry; nil for what the peer replied.
	applied *applied
}

func newRPCConn(conn net.Conn, timeout time.Duration) *rpcConn {
	c := &rpcConn{
		out: newFrameWriter(conn, timeout), done: make(chan struct{}), calls: map[uint64]chan rpcReply{},
	}
	go c.readLoop()
	return c
}

func (c *rpcConn) readLoop() {
	in := bufio.NewReaderSize(c.out.conn, 32<<10)
	for {
		id, tag, body, err := readFrame(in)
		if err != nil {
			break
		}
		if ch := c.take(id); ch != nil {
			if tag != 0 {
				ch <- rpcReply{err: &remoteError{fromWire(string(body))}}
				continue
			}
			ch <- rpcReply{body: body}
		}
	}
	c.end()
}

// remoteError is an error that the peer returned, as opposed to one of the way there.
type remoteError struct{ err error }

func (e *remoteError) Error() string { return e.err.Error() }
func (e *remoteError) Unwrap() error { return e.err }

func (c *rpcConn) take(id uint64) chan rpcReply {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
	ch := c.calls[id]
	delete(c.calls, id)
	return ch
}

// giveUp forgets a call that took too long, and ends a connection on which nothing has come back since the call was sent:
// after a cut, TCP itself may take minutes to notice that the way is free again.
func (c *rpcConn) giveUp(id uint64, sent time.Time) {
	c.mu.Lock()
	delete(c.calls, id)
	silent := c.heard.Before(sent) && time.Since(sent) >= c.out.timeout
	c.mu.Unlock()
	if silent {
		c.end()
	}
}

// end closes the connection and fails all calls in flight.
func (c *rpcConn) end() {
	c.out.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.done)
	for id, ch := range c.calls {
		delete(c.calls, id)
		ch <- rpcReply{err: errConnLost}
	}
}

// call sends a request and waits for its reply. After an error that is not a remoteError nothing is known of whether the
// peer acted, but for errNotSent.
func (c *rpcConn) call(ctx context.Context, m method, body []byte) ([]byte, error) {
	r, err := c.callWhile(ctx, nil, make(chan rpcReply, 1), m, body)
	return r.body, err
}

// callWhile is call for as long as over is open; then it is errLeaderMoved. The reply comes by a channel that has room for it, and by which another one
// may have come first.
func (c *rpcConn) callWhile(ctx context.Context, over <-chan struct{}, reply chan rpcReply, m method, body []byte) (rpcReply, error) {
	sent := time.Now()
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return rpcReply{}, errNotSent
	}
	c.next++
	id := c.next
	c.calls[id] = reply
	c.mu.Unlock()
	if err := c.out.send(id, byte(m), body); err != nil {
		c.take(id)
		c.end()
		return rpcReply{}, fmt.Errorf("%w: %w", errConnLost, err)
	}
	select {
	case r := <-reply:
		if r.applied != nil || r.err != nil { // it may be the other one's
			c.forget(id)
		}
		return r, r.err
	case <-over:
		c.giveUp(id, sent)
		return rpcReply{}, errLeaderMoved
	case <-ctx.Done():
		c.giveUp(id, sent)
		return rpcReply{}, ctx.Err()
	}
}

// forget ends a call to which no reply is awaited any more.
func (c *rpcConn) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}
