package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"quorate/proxy/relay"
)

// duplex is a connection whose halves close one by one: TCP and UNIX stream sockets.
type duplex interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	Control(f func(fd int)) error
	Peek() (int, error) // waits for bytes, or the end, or the read deadline, and leaves them there
}

// tune makes the kernel find out that a silent peer is dead. (One that owes an acknowledgement is the relay's to find out.) It is done
// for connections that have lasted a few seconds: most of those that applications open and close do not, and would pay for it.
func tune(c duplex, o TCPOptions) {
	_ = c.Control(o.keepAlive)
}

// keepAlive sets a socket up; one that refuses (a UNIX socket) works without. It is switched on last: then the first probe is due the idle time from now. A
// changed idle time would count from when the peer was last heard (tcp_sock_set_keepidle_locked in net/ipv4/tcp.c), and sessions that came together
// be probed together, however far apart they are set up.
func (o TCPOptions) keepAlive(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(o.KeepAliveIdle))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(o.KeepAliveInterval))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, o.KeepAliveCount)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// seconds rounds up: the kernel's unit is one, and it refuses zero.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// dial connects to a backend's address, for the client of near if there is one, and sends it the greeting, if there is one.
func (r *Router) dial(ctx context.Context, near *relay.Conn, addr string, greeting []byte) (*relay.Conn, error) {
	c, err := r.connect(ctx, near, addr)
	if err != nil {
		return nil, err
	}
	if len(greeting) > 0 {
		if _, err := c.Write(greeting); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (r *Router) connect(ctx context.Context, near *relay.Conn, addr string) (*relay.Conn, error) {
	if to, err := netip.ParseAddrPort(addr); err == nil && to.Addr().Zone() == "" {
		return r.engine.Dial(ctx, near, to, r.opts().ConnectTimeout)
	}
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	d := net.Dialer{Timeout: r.opts().ConnectTimeout, KeepAlive: -1} // knows names
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return r.adopt(near, conn)
}

// adopt takes a socket out of Go's hands.
func (r *Router) adopt(near *relay.Conn, c net.Conn) (*relay.Conn, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection of type %T has no socket", c), c.Close())
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take a socket: %w", err), c.Close())
	}
	var fd int
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dup, c.Close()); err != nil {
		return nil, fmt.Errorf("take a socket: %w", err)
	}
	return r.engine.Conn(near, fd, c.RemoteAddr()), nil
}

// addrPortOf is a TCP address; invalid for others.
func addrPortOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// hostOf is a client's address as limits count it; UNIX clients count as one.
func hostOf(a netip.AddrPort) string {
	if a.IsValid() {
		return a.Addr().String()
	}
	return "unix"
}

// shut closes both halves at once, also under reads and writes that are in progress. The descriptor stays for its owner to close.
func shut(c duplex) {
	_ = c.CloseRead()
	_ = c.CloseWrite()
}

// farewell sends a client its last message and gives it a moment to close by itself: closing with bytes of the client unread
// would send RST, which could overtake the message.
func farewell(c duplex, message []byte) {
	_ = c.SetDeadline(time.Now().Add(farewellWait))
	if _, err := c.Write(message); err != nil {
		return
	}
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, c, farewellBytes)
}

const (
	farewellWait  = time.Second
	farewellBytes = 64 << 10
)

// watchHangup calls gone when the client closes or resets while it waits. It consumes nothing. The caller must call the
// returned stop before it uses c again; bytes that arrive end the watch (a client that has spoken ahead is alive).
func watchHangup(c duplex, gone func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err := c.Peek()
		if n <= 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			gone()
		}
	}()
	return func() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = c.SetReadDeadline(time.Time{})
	}
}
