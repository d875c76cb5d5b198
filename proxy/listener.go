package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy/relay"
)

// listener is one door of the router.
type listener struct {
	r   *Router
	now atomic.Pointer[settings]

	// Guarded by the router's mu.
	ln       net.Listener // nil: not open
	removed  bool         // by a new configuration; what runs goes on
	queue    queue
	lagging  map[string]bool   // kept out by this listener's lag limits
	places   map[string]*place // by backend
	clients  map[string]int    // present sessions by client address, the ones that are being opened included
	total    tally
	health   health // of its backends together
	mostHeld int

	doorstep struct { // clients that were accepted, whatever became of them
		sync.Mutex
		rate  rate
		count int64
	}
	malformed atomic.Int64 // clients whose first packet was none
	denied    atomic.Int64 // clients that a rule turned away
}

// settings are what a configuration says of a listener, as of one reading.
type settings struct {
	opts ListenerOptions
	cert *certificate // nil: TLS passes through
}

func newListener(r *Router, o ListenerOptions) *listener {
	l := &listener{
		r: r, queue: queue{opts: o.Hold},
		places: make(map[string]*place), clients: make(map[string]int), health: health{changed: boottime.Now()},
	}
	l.now.Store(&settings{opts: o})
	return l
}

// opts are the newest settings.
func (l *listener) opts() *ListenerOptions { return &l.now.Load().opts }

// prepare reads what the settings name; a certificate that is in use stays, for it follows its files by itself.
func (l *listener) prepare(o ListenerOptions, was *settings) (*settings, error) {
	s := &settings{opts: o}
	if o.TLS != nil && was.cert != nil && was.cert.opts == *o.TLS {
		s.cert = was.cert
	} else if o.TLS != nil {
		complain := func(err error) { l.r.complain("the old certificate stays in use", "listener", o.Name, "err", err) }
		var err error
		if s.cert, err = loadCertificate(*o.TLS, complain); err != nil {
			return nil, fmt.Errorf("listener %s: %w", o.Name, err)
		}
	}
	return s, nil
}

// listen opens the door of a listener.
func (r *Router) listen(ctx context.Context, o *ListenerOptions) (net.Listener, error) {
	network, address, err := listenAddress(o.Listen)
	if err != nil {
		return nil, err
	}
	ln, err := r.opts().Listen(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", o.Name, err)
	}
	return r.door(ln)
}

// acceptLoop runs until the listener is closed. Any other failure (too many open files, a client that reset before it was
// accepted) passes: a router that stops to accept because of one is an outage.
func (l *listener) acceptLoop(ln net.Listener) {
	pause := 5 * time.Millisecond
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.r.metrics.acceptErrors.WithLabelValues(l.opts().Name).Inc()
			l.r.complain("cannot accept a client", "listener", l.opts().Name, "err", err)
			if !sleep(l.r.ctx, pause) {
				return
			}
			pause = min(2*pause, 500*time.Millisecond)
			continue
		}
		pause = 5 * time.Millisecond
		l.came()
		l.r.openings.Add(1)
		l.r.clients.Add(1)
		l.receive(conn)
	}
}

// came counts an accepted client.
func (l *listener) came() {
	l.doorstep.Lock()
	defer l.doorstep.Unlock()
	l.doorstep.count++
	l.doorstep.rate.tick(time.Since(rateFrom))
}

// receive begins to serve a client: most of them are by the relay's loop alone, see quick.go.
func (l *listener) receive(conn net.Conn) {
	client, ok := conn.(*relay.Conn)
	if !ok {
		var err error
		if client, err = l.r.adopt(nil, conn); err != nil {
			l.r.complain("cannot serve a client", "listener", l.opts().Name, "err", err)
			l.r.openings.Done()
			l.r.clients.Done()
			return
		}
	}
	o := &opening{r: l.r, l: l, socket: client, client: client, in: startReader{conn: client}}
	if !o.quick() {
		go o.serve(o.run)
	}
}

// serve carries one client, by way, to its session, which goes on without it, or to its last byte.
func (o *opening) serve(way func() *session) {
	defer o.r.clients.Done()
	defer o.r.openings.Done()
	// A router that stops does not wait for clients that have not said what they want.
	defer context.AfterFunc(o.r.ctx, func() { _ = o.socket.SetReadDeadline(time.Unix(1, 0)) })()
	s := way()
	if s == nil {
		return
	}
	if err := s.relay(); err != nil {
		o.r.complain("a session is lost", "listener", o.l.opts().Name, "client", o.host, "err", err)
		close(s.silent)
		o.r.forget(s, reasonClientLost)
	}
}

// trusts says whether a peer speaks for others.
func (l *listener) trusts(peer netip.Addr) bool {
	return slices.ContainsFunc(l.opts().ProxyFrom, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// complain logs at most once a second what strangers can cause.
func (r *Router) complain(msg string, args ...any) {
	if skipped, ok := r.quiet.pass(); ok {
		r.log.Warn(msg, append(args, "not_logged", skipped)...) //nolint:sloglint // the callers' messages are constants
	}
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
