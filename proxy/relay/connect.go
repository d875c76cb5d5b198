package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Dial connects to a TCP address for the other side of near; nil: there is none.
func (e *Engine) Dial(ctx context.Context, near *Conn, to netip.AddrPort, timeout time.Duration) (*Conn, error) {
	remote := net.TCPAddrFromAddrPort(to)
	d, err := e.dial(ctx, near, to, remote, time.Now().Add(timeout))
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: err}
	}
	return d, nil
}

func (e *Engine) dial(ctx context.Context, near *Conn, to netip.AddrPort, remote net.Addr, by time.Time) (*Conn, error) {
	a, family := addressOf(to)
	fd, err := socket(family)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	noDelay(fd)
	d := e.Conn(near, fd, remote)
	if err := d.connect(ctx, &a, by); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// connect asks for the connection and then, by the same call, what has become of it. A server on this host or near by has often answered
// when it is asked for the first time, and then the socket need not be watched yet.
func (c *Conn) connect(ctx context.Context, to *address, by time.Time) error {
	ask := func(fd int) error { return connectOnce(fd, to) }
	err := c.try(&c.writeBy, ask)
	if again(err) {
		stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
		_ = c.SetWriteDeadline(by)
		c.wait(&c.writable, &c.writeBy)
		err = c.repeat(&c.writable, &c.writeBy, ask)
		stop()
		_ = c.SetWriteDeadline(time.Time{})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return os.NewSyscallError("connect", err)
	}
	return err
}

// connectOnce asks for a connection, or what has become of it; "again" means that it is on its way.
func connectOnce(fd int, to *address) error {
	err := connect(fd, to)
	if errors.Is(err, unix.EINPROGRESS) {
		err = connect(fd, to)
	}
	switch {
	case errors.Is(err, unix.EISCONN):
		return nil
	case errors.Is(err, unix.EALREADY), errors.Is(err, unix.EINPROGRESS), errors.Is(err, unix.EINTR):
		return unix.EAGAIN
	}
	return err
}
