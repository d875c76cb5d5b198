package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
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

	mu                 sync.Mutex // guards what follows; held over system calls, all of which return at once
	fd                 int        // -1: closed, or given to a flow
	watched            bool       // in the loop's epoll set
	readBy, writeBy    time.Time
	readable, writable edge // nil until it is watched
}

// edge is a wake-up that waits for its taker. One that says nothing new costs a look.
type edge chan struct{}

func (e edge) ring() {
	select {
	case e <- struct{}{}:
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
	return &Conn{loop: l, remote: remote, fd: fd}
}

// try calls f with the descriptor. When f finds nothing to do, the socket is watched from then on.
func (c *Conn) try(by *time.Time, f func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.fd < 0:
		return net.ErrClosed
	case !by.IsZero() && !time.Now().Before(*by):
		return os.ErrDeadlineExceeded
	}
	err := f(c.fd)
	if again(err) && !c.watched {
		c.readable, c.writable = make(edge, 1), make(edge, 1)
		if err := c.loop.watch(c); err != nil {
			return err
		}
		c.watched = true
	}
	return err
}

// lost is called when a flow that the descriptor was lent to keeps it.
func (c *Conn) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fd = -1
}

// back is called when such a flow gives it back. It is in the epoll set.
func (c *Conn) back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readable, c.writable, c.watched = make(edge, 1), make(edge, 1), true
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	c.loop.conns[c.fd] = c
}

func again(err error) bool { return errors.Is(err, unix.EAGAIN) }

// repeat calls f until it has something else to say than "again".
func (c *Conn) repeat(e *edge, by *time.Time, f func(fd int) error) error {
	for {
		err := c.try(by, f)
		if !again(err) {
			return err
		}
		c.wait(e, by)
	}
}

// wait returns when there may be news.
func (c *Conn) wait(e *edge, by *time.Time) {
	c.mu.Lock()
	until, news := *by, *e
	c.mu.Unlock()
	if until.IsZero() {
		<-news
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-news:
	case <-t.C:
	}
}

// happened is called by the loop.
func (c *Conn) happened(events uint32) {
	const broken = unix.EPOLLERR | unix.EPOLLHUP
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|broken) != 0 {
		c.readable.ring()
	}
	if events&(unix.EPOLLOUT|broken) != 0 {
		c.writable.ring()
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = c.repeat(&c.readable, &c.readBy, func(fd int) error { n, err = receive(fd, p); return err })
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
		err = c.repeat(&c.writable, &c.writeBy, func(fd int) error { k, err = send(fd, p[n:]); return err })
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
	if fd >= 0 && c.watched {
		c.loop.unwatch(fd)
	}
	c.fd = -1
	c.readable.ring()
	c.writable.ring()
	return fd
}

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
	defer c.readable.ring()
	defer c.writable.ring()
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
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, &c.readable, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, &c.writable, t) }

func (c *Conn) setDeadline(by *time.Time, e *edge, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	*by = t
	e.ring() // whoever waits looks at the new one
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
	err = c.repeat(&c.readable, &c.readBy, func(fd int) error {
		n, _, err = unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err
	})
	return n, err
}
