package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Listen is Options.Listen's default. It takes a UNIX socket's path over from a process that has died.
func Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var c net.ListenConfig
	c.KeepAlive = -1 // see tune
	if network != "unix" {
		return c.Listen(ctx, network, address)
	}
	if err := removeStale(address); err != nil {
		return nil, err
	}
	ln, err := c.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// As PostgreSQL's own: whoever may connect is decided by pg_hba.conf, and by the folder that the socket lies in.
	if err := os.Chmod(address, 0o777); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes the socket of a process that died. One that answers is somebody's, and so is anything that is no socket.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("listen on %s: there is something that is not a socket; remove it or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", path, syscall.EADDRINUSE), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	return os.Remove(path)
}
