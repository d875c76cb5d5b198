package etcdhost

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
)

// secure says whether a URL is one with TLS.
func secure(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "unixs" }

// unixSocket says whether a URL names a socket in the file system.
func unixSocket(u *url.URL) bool { return strings.HasPrefix(u.Scheme, "unix") }

// address is what is dialed for a URL: host:port, or a path.
func address(u *url.URL) string {
	if unixSocket(u) {
		return u.Host + u.Path
	}
	return u.Host
}

// listenAt opens the listener of a URL. A socket that a dead process has left is taken over.
func listenAt(u *url.URL) (net.Listener, error) {
	network := "tcp"
	if unixSocket(u) {
		network = "unix"
		if err := removeDeadSocket(address(u)); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", u, err)
		}
	}
	l, err := net.Listen(network, address(u))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", u, err)
	}
	return l, nil
}

func removeDeadSocket(path string) error {
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(syscall.EADDRINUSE, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // nothing there, or no socket, which listening will tell
		return nil
	}
	return os.Remove(path)
}

// listenAll is one listener at several URLs.
func listenAll(urls []*url.URL) (net.Listener, error) {
	var all []net.Listener
	for _, u := range urls {
		l, err := listenAt(u)
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, err
		}
		all = append(all, l)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return newFanIn(all), nil
}

// fanIn accepts from several listeners.
type fanIn struct {
	all   []net.Listener
	conns chan accepted
	done  chan struct{}
	once  sync.Once
	err   error // of closing
}

type accepted struct {
	conn net.Conn
	err  error
}

func newFanIn(all []net.Listener) *fanIn {
	f := &fanIn{all: all, conns: make(chan accepted), done: make(chan struct{})}
	for _, l := range all {
		go f.run(l)
	}
	return f
}

// run hands on what one listener has, errors too, of which the caller knows which will pass.
func (f *fanIn) run(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case f.conns <- accepted{c, err}:
		case <-f.done:
			if c != nil {
				c.Close()
			}
			return
		}
	}
}

func (f *fanIn) Accept() (net.Conn, error) {
	select {
	case a := <-f.conns:
		return a.conn, a.err
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *fanIn) Close() error {
	f.once.Do(func() {
		close(f.done)
		for _, l := range f.all {
			f.err = errors.Join(f.err, l.Close())
		}
	})
	return f.err
}

// Addr is the first one's.
func (f *fanIn) Addr() net.Addr { return f.all[0].Addr() }
