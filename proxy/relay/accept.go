package relay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Accept waits for the next client of a listening socket. It returns net.ErrClosed once the file is closed.
func (e *Engine) Accept(listener syscall.RawConn) (*Conn, error) {
	var fd int
	var sa syscall.Sockaddr
	var err error
	waited := listener.Read(func(l uintptr) bool {
		for {
			fd, sa, err = syscall.Accept4(int(l), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC) // unix.Accept4 asks for the protocol too
			if !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ECONNABORTED) {
				return !errors.Is(err, syscall.EAGAIN)
			}
		}
	})
	if waited != nil { // nothing else keeps it from waiting
		return nil, fmt.Errorf("%w: %w", net.ErrClosed, waited)
	}
	if err != nil {
		return nil, os.NewSyscallError("accept", err)
	}
	return e.Conn(nil, fd, addrOf(sa)), nil
}
