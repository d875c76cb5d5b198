package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"quorate/proxy"
)

// Sockets are listening sockets that were open before this process: of systemd's socket units, or of the process that it replaces. Whoever
// wants to listen on such an address gets the socket that is there. The zero value has none.
type Sockets struct {
	mu     sync.Mutex
	ready  []net.Listener
	failed error
}

// NewSockets takes sockets over.
func NewSockets(files []*os.File) *Sockets {
	s := &Sockets{}
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			s.failed = fmt.Errorf("the inherited socket %s: %w: socket units must have ListenStream=", f.Name(), err)
		} else {
			s.ready = append(s.ready, l)
		}
		_ = f.Close()
	}
	return s
}

// Listen gives the inherited socket of an address, or opens one.
func (s *Sockets) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed != nil {
			return nil, s.failed
		}
		for i, l := range s.ready {
			if sameAddress(l.Addr(), network, address) {
				s.ready = append(s.ready[:i:i], s.ready[i+1:]...)
				return l, nil
			}
		}
	}
	return proxy.Listen(ctx, network, address)
}

// holds says whether an address, host:port with * for every host, is that of an inherited socket that nobody has taken yet.
func (s *Sockets) holds(host string, port int) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if host == "*" {
		host = ""
	}
	for _, l := range s.ready {
		if sameAddress(l.Addr(), "tcp", net.JoinHostPort(host, strconv.Itoa(port))) {
			return true
		}
	}
	return false
}

// rest closes what nobody wanted, and says so: a socket unit whose clients nobody accepts is a trap.
func (s *Sockets) rest(log *slog.Logger) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.ready {
		log.Warn("an inherited socket is closed: no entry of proxy.listeners has its address", "address", l.Addr().String())
		_ = l.Close()
	}
	s.ready = nil
}

// sameAddress compares a bound address with a configured one. A wildcard is a wildcard in either family.
func sameAddress(bound net.Addr, network, address string) bool {
	switch a := bound.(type) {
	case *net.UnixAddr:
		return network == "unix" && a.Name == address
	case *net.TCPAddr:
		host, port, err := net.SplitHostPort(address)
		if err != nil || !strings.HasPrefix(network, "tcp") || strconv.Itoa(a.Port) != port {
			return false
		}
		want, err := netip.ParseAddr(host)
		if host == "" || err == nil && want.IsUnspecified() {
			return a.IP == nil || a.IP.IsUnspecified()
		}
		return err == nil && a.AddrPort().Addr().Unmap() == want.Unmap()
	}
	return false
}
