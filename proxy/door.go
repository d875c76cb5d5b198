package proxy

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"quorate/proxy/relay"
)

// door is a listener whose clients are the relay's from the first: they never enter Go's own poller.
type door struct {
	net.Listener
	file   *os.File // the same socket
	raw    syscall.RawConn
	engine *relay.Engine
}

// door makes one of a listener, unless that is something without a socket.
func (r *Router) door(ln net.Listener) (net.Listener, error) {
	if _, ok := ln.(syscall.Conn); !ok {
		return ln, nil
	}
	file, err := socketOf(ln)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close(), ln.Close())
	}
	// Accepted sockets inherit it; a UNIX socket refuses.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) })
	return &door{ln, file, raw, r.engine}, nil
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.engine.Accept(d.raw)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close implements net.Listener.
func (d *door) Close() error { return errors.Join(d.file.Close(), d.Listener.Close()) }

// SyscallConn implements syscall.Conn.
func (d *door) SyscallConn() (syscall.RawConn, error) { return d.raw, nil }
