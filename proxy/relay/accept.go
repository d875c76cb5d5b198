package relay

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Accept waits for the next client of a listening socket. It returns net.ErrClosed once the file is closed.
func (e *Engine) Accept(listener syscall.RawConn) (*Conn, error) {
	var fd int
	var from unix.RawSockaddrAny
	var err error
	waited := listener.Read(func(l uintptr) bool {
		fd, from, err = accept(int(l))
		return !again(err)
	})
	if waited != nil { // nothing else keeps it from waiting
		return nil, fmt.Errorf("%w: %w", net.ErrClosed, waited)
	}
	if err != nil {
		return nil, os.NewSyscallError("accept", err)
	}
	return e.Conn(nil, fd, netAddr(&from)), nil
}
