package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// scarce is a listener that runs out of descriptors a few times before it accepts anybody.
type scarce struct {
	net.Listener
	failures atomic.Int32
}

func (l *scarce) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAcceptOutlivesAShortage(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, func(o *Options) {
		o.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
			ln, err := net.Listen(network, address)
			s := &scarce{Listener: ln}
			s.failures.Store(5)
			return s, err
		}
	})
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	expectEcho(t, login(t, r, "primary"), "served after the shortage")
}

func TestUnixListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".s.PGSQL.5000")
	listen := func() (net.Listener, error) { return Listen(t.Context(), "unix", path) }
	ln, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Fatalf("mode %v, %v; want everybody to be able to connect", info.Mode(), err)
	}
	if _, err := listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("a second listener on a living socket: %v", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // as after a crash
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if ln, err = listen(); err != nil {
		t.Fatalf("a listener after a crash: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(); err == nil {
		t.Fatal("a listener in place of a file")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Fatalf("the file is %q, %v", text, err)
	}
}
