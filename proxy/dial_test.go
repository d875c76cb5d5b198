package proxy

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// silentBackend is a lost host: what asks it for a connection gets no answer. Its queue of connections is full, so that the kernel drops the rest.
func silentBackend(t *testing.T) Backend {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return Backend{Name: "lost", Addr: addr, Role: RolePrimary, Running: true}
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill up")
	return Backend{}
}

// A client whose connect to a lost primary is on its way goes to the successor as soon as there is one, not after the connect's own time: at first
// the connect is a loop's, and a goroutine's after a moment.
func TestConnectFollowsTheTable(t *testing.T) {
	for name, onItsWay := range map[string]func(*Router) bool{
		"of a loop":      func(r *Router) bool { return len(r.sessions) == 1 },
		"of a goroutine": func(r *Router) bool { return len(r.dials) == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, func(o *Options) { o.ConnectTimeout = 10 * patienceOfTests })
			r.Publish(tableOf(1, silentBackend(t)))
			c := dialRouter(t, r, "primary")
			write(t, c, startup("ann", "shop"))
			eventually(t, "the connect is on its way", func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return onItsWay(r)
			})
			r.Publish(tableOf(2, raw(t, func(c *net.TCPConn) { _, _ = c.Write(message('Z', []byte{'I'})) })))
			expectMessage(t, c, 'Z')
			eventually(t, "no connect is left", func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return len(r.dials) == 0
			})
		})
	}
}
