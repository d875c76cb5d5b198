package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connected stream socket before its flow starts: a net.Conn with halves that close one by one. It waits by its loop's epoll set,
// where it stays when the flow starts. A connection of package net would enter Go's own poller, and to leave it takes another
// descriptor: a dozen system calls for a session.
//
// One goroutine may read while another writes; the other methods may be called at any time.
type Conn struct {
	loop   *loop
	remote net.Addr

	news atomic.Uint32 // what epoll has reported, reading less what reads have disproved

	mu      sync.Mutex // guards what follows; held over system calls, all of which return at once
	fd      int        // -1: closed, or given to a flow
	watched uint32     // for these events by the loop's epoll set; 0: not in it
	more    bool       // the last read may have left something
	r, w    side
}

// side is how one of a Conn's halves waits.
type side struct {
	events uint32 // that it waits for
	by     time.Time
	bell   edge
	waits  bool // somebody does, or did a moment ago
}

// edge is a wake-up that waits for its taker. One that says nothing new costs a look.
type edge chan struct{}

func (e edge) ring() {
	select {
	case e <- struct{}{}:
	default:
	}
}

// hush takes back a ring that nobody has heard.
func (e edge) hush() {
	select {
	case <-e:
	default:
	}
}

// Conn takes over a connected, non-blocking socket. Near is the other side of the flow that is to be, if there is one yet: both belong to
// one loop. Remote is what RemoteAddr returns; it may be nil.
func (e *Engine) Conn(near *Conn, fd int, remote net.Addr) *Conn {
	var l *loop
	if near != nil {
		l = near.loop
	} else {
		l = e.loops[e.next.Add(1)%uint32(len(e.loops))]
	}
	return &Conn{
		loop: l, remote: remote, fd: fd, more: true,
		r: side{events: unix.EPOLLIN, bell: make(edge, 1)}, w: side{events: unix.EPOLLOUT, bell: make(edge, 1)},
	}
}

// try calls f with the descriptor. When f finds nothing to do, the socket is watched from then on.
func (c *Conn) try(s *side, f func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.waits = false
	s.bell.hush() // for what happened before f
	switch {
	case c.fd < 0:
		return net.ErrClosed
	case !s.by.IsZero() && !time.Now().Before(s.by):
		return os.ErrDeadlineExceeded
	}
	err := f(c.fd)
	if again(err) {
		s.waits = true
		if err := c.watch(s.events); err != nil {
			return err
		}
	}
	return err
}

func again(err error) bool { return err == unix.EAGAIN } //nolint:errorlint // the calls return the bare number

// watch makes the loop tell c what happens, beginning with what has happened; called with mu held.
func (c *Conn) watch(events uint32) error {
	events |= interest | c.watched
	if events == c.watched {
		return nil
	}
	if err := c.loop.watch(c, events); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	c.watched = events
	return nil
}

// repeat calls f until it has something else to say than "again".
func (c *Conn) repeat(s *side, f func(fd int) error) error {
	for {
		err := c.try(s, f)
		if !again(err) {
			return err
		}
		c.wait(s)
	}
}

// wait returns when there may be news.
func (c *Conn) wait(s *side) {
	c.mu.Lock()
	until := s.by
	c.mu.Unlock()
	if until.IsZero() {
		<-s.bell
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-s.bell:
	case <-t.C:
	}
}

// Await waits until there may be something to read, or the read deadline. It is for answers that cannot be there yet, which a read would only
// look for in vain.
func (c *Conn) Await() error {
	c.mu.Lock()
	if c.fd < 0 {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.r.bell.hush()
	err := c.watch(c.r.events)
	c.r.waits = err == nil && c.news.Load()&readNews == 0
	waits := c.r.waits
	c.mu.Unlock()
	if waits {
		c.wait(&c.r)
	}
	return err
}

const (
	broken    = unix.EPOLLERR | unix.EPOLLHUP
	readNews  = unix.EPOLLIN | unix.EPOLLRDHUP | broken
	endNews   = unix.EPOLLRDHUP | broken
	writeNews = unix.EPOLLOUT | broken
)

// happened is called by the loop.
func (c *Conn) happened(events uint32) {
	c.news.Or(events)
	if events&readNews != 0 {
		c.r.bell.ring()
	}
	if events&writeNews != 0 {
		c.w.bell.ring()
	}
}

// receive reads once.
func (c *Conn) receive(fd int, p []byte) (int, error) {
	c.news.And(^uint32(unix.EPOLLIN)) // before the read: what comes after it is news
	n, err := receive(fd, p)
	c.more = n == len(p)
	return n, err
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = c.repeat(&c.r, func(fd int) error { n, err = c.receive(fd, p); return err })
	if err != nil {
		return 0, c.failed("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		var k int
		err = c.repeat(&c.w, func(fd int) error { k, err = send(fd, p[n:]); return err })
		n += max(k, 0)
	}
	return n, c.failed("write", err)
}

func (c *Conn) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = os.NewSyscallError(what, errno)
	}
	return &net.OpError{Op: what, Net: "tcp", Addr: c.remote, Err: err}
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	fd := c.take()
	if fd < 0 {
		return net.ErrClosed
	}
	return closeSocket(fd)
}

// take makes the descriptor the caller's. Whoever waits on c finds it closed.
func (c *Conn) take() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.fd
	if fd >= 0 && c.watched != 0 {
		c.loop.unwatch(fd)
	}
	c.gone()
	return fd
}

func (c *Conn) gone() {
	c.fd = -1
	c.r.bell.ring()
	c.w.bell.ring()
}

// hand gives the descriptor to a flow. What happens is noted here until the loop knows the flow.
func (c *Conn) hand(to *end) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	to.fd = c.fd
	if c.fd < 0 {
		return net.ErrClosed
	}
	err := c.watch(0)
	to.conn, to.room = c, c.watched&unix.EPOLLOUT != 0
	c.gone()
	return err
}

// idle says, of one that was handed on, that there is nothing to read.
func (c *Conn) idle() bool { return !c.more && c.news.Load()&readNews == 0 }

// CloseRead and CloseWrite close a half, also under a call that waits.
func (c *Conn) CloseRead() error { return c.shutdown(unix.SHUT_RD) }

// CloseWrite closes the other one.
func (c *Conn) CloseWrite() error { return c.shutdown(unix.SHUT_WR) }

func (c *Conn) shutdown(how int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	defer c.r.bell.ring()
	defer c.w.bell.ring()
	return os.NewSyscallError("shutdown", shutdown(c.fd, how))
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr implements net.Conn; nil when it is not a TCP address.
func (c *Conn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return localAddr(c.fd)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.r, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.w, t) }

func (c *Conn) setDeadline(s *side, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	s.by = t
	if s.waits {
		s.bell.ring() // whoever waits looks at the new one
	}
	return nil
}

// Control calls f with the descriptor, which stays open meanwhile. f must not wait.
func (c *Conn) Control(f func(fd int)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	f(c.fd)
	return nil
}

// Peek waits until there is something to read, or the end, or the read deadline, and leaves it there. The end is no error: 0 bytes.
func (c *Conn) Peek() (n int, err error) {
	var one [1]byte
	err = c.repeat(&c.r, func(fd int) error {
		n, _, err = unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err
	})
	return n, err
}
