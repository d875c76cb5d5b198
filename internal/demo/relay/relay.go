package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Host is one of those that the relay stands between.
type Host struct {
	Name string
	Addr netip.Addr // where it listens
	Via  netip.Addr // where the others believe it to be: the relay listens here
}

// Options describe a relay.
type Options struct {
	Hosts []Host
	TCP   []uint16 // ports
	UDP   []uint16
	// Owner names the host whose process dialled: client is its end of the connection, via the relay's. "" is somebody else, for whom only
	// the host at the other end can be cut off.
	Owner func(client, via netip.AddrPort) string
}

// Relay passes on what the hosts send each other. It ends with Close.
type Relay struct {
	o     Options
	links *links

	ctx     context.Context // of all connections
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closers map[closer]bool
}

type closer interface{ Close() error }

// Start listens on all ports of all hosts' second addresses.
func Start(o Options) (*Relay, error) {
	r := &Relay{o: o, links: newLinks(), closers: map[closer]bool{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for _, h := range o.Hosts {
		if err := r.serve(h); err != nil {
			r.Close()
			return nil, err
		}
	}
	for _, port := range o.UDP {
		if err := r.datagrams(port); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Cut keeps everything from and to a host, until Join.
func (r *Relay) Cut(host string) { r.links.set(host, true) }

// Join ends a cut.
func (r *Relay) Join(host string) { r.links.set(host, false) }

// Close ends all connections and waits for the end of whatever the relay started.
func (r *Relay) Close() {
	r.cancel()
	r.mu.Lock()
	for c := range r.closers {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// own has Close end c, and says whether it is not too late for that.
func (r *Relay) own(c closer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		_ = c.Close()
		return false
	}
	r.closers[c] = true
	return true
}

func (r *Relay) release(c closer) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.closers, c)
}

// serve listens for connections to a host.
func (r *Relay) serve(h Host) error {
	for _, port := range r.o.TCP {
		l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.Via, port)))
		if err != nil {
			return fmt.Errorf("relay for %s: %w", h.Name, err)
		}
		r.own(l)
		to := netip.AddrPortFrom(h.Addr, port)
		r.running.Go(func() { r.accept(l, h.Name, to) })
	}
	return nil
}

func (r *Relay) accept(l *net.TCPListener, host string, to netip.AddrPort) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		if r.own(c) {
			r.running.Go(func() { r.connection(c, host, to) })
		}
	}
}
