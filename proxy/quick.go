package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"quorate/proxy/relay"
)

// Most clients need no goroutine to get their session: their first packet is there in one piece, a backend can be had at once, and it answers. The
// relay's loop does that between its other work (relay.Opener). Whatever is else (a part of a packet, a cancel request, nobody to go to, a
// server that fails, a moment without news) is diverted to the goroutine that can deal with all of it, opening.run, with nothing lost:
// a server that was tried has been given up, and the client has not had a byte of it.
//
// The session is registered as it is chosen, in one critical section: from then on the governor ends it like any other.

// quick begins to open the session on the relay's loop. It returns false when that is not possible.
func (o *opening) quick() bool {
	if !o.ordinary() {
		return false
	}
	if o.enter(); o.patience <= 0 {
		return false
	}
	o.source = addrPortOf(o.client.RemoteAddr())
	o.host = hostOf(o.source)
	s := &session{r: o.r, l: o.l, host: o.host, source: o.source, silent: make(chan struct{}), relayed: true}
	o.s = s
	if err := o.r.engine.Open(&s.flow, s, o, o.socket); err != nil {
		o.s = nil
		return false
	}
	return true
}

// ordinary says whether nothing in the listener's settings asks for more than the loop knows.
func (o *opening) ordinary() bool {
	now := o.l.now.Load()
	return now.cert == nil && len(now.opts.ProxyFrom) == 0 && !now.opts.SendProxy
}

// First implements relay.Opener.
func (o *opening) First(p []byte) (to netip.AddrPort, packet []byte, ok bool) {
	next, need, err := parseStart(p)
	if err != nil || need > 0 || next.kind == startCancel || len(next.raw) != len(p) || !o.ordinary() {
		o.in.buf = bytes.Clone(p)
		return to, nil, false
	}
	next.raw = bytes.Clone(p)
	o.leave()
	o.packet = next
	if next.kind == startSession {
		o.s.note(next)
	}
	if o.turn {
		o.turn = false
		return to, o.packet.raw, true
	}
	to, ok = o.r.assign(o)
	return to, o.packet.raw, ok
}

// assign chooses a backend for the session that the relay opens, and registers it.
func (r *Router) assign(o *opening) (to netip.AddrPort, ok bool) {
	s, l := o.s, o.l
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil || l.queue.closed {
		return to, false
	}
	choice, no := r.choose(l, o.host)
	if no != "" {
		return to, false
	}
	to, err := netip.ParseAddrPort(choice.Backend.Addr)
	if err != nil || to.Addr().Zone() != "" { // a name, or a UNIX socket
		return to, false
	}
	l.take(choice.Backend.Name, o.host)
	s.backend, s.term, s.since = choice.Backend, choice.Term, time.Now()
	s.adopt(r.table)
	r.add(s)
	return to, true
}

// Reached implements relay.Opener.
func (o *opening) Reached() relay.Step {
	s := o.s
	s.connected = time.Since(s.since)
	o.r.metrics.connected(s.backend.Name, s.connected, nil)
	switch {
	case s.ended() != "":
		return relay.Refuse
	case o.packet.kind == startDirectTLS:
		s.encrypted.Store(true)
		o.r.openings.Done()
		return relay.Pass
	}
	return relay.Await
}

// Answer implements relay.Opener.
func (o *opening) Answer(p []byte) relay.Step {
	if o.packet.kind == startSession {
		if unfinishedError(p) {
			return relay.Await
		}
		if state, message := sqlState(p); state == stateCannotConnectNow {
			o.refusal = message
			return relay.Refuse
		}
	} else if len(p) == 1 && p[0] == 'N' {
		o.refused, o.turn = append(o.refused, o.packet), true
		return relay.Ask
	} else if p[0] == 'S' || p[0] == 'G' {
		o.s.encrypted.Store(true)
	}
	o.r.openings.Done()
	return relay.Pass
}

// Diverted implements relay.Opener. Nothing passes any more: who waits for the end of the session need not wait for the goroutine.
func (o *opening) Diverted(err error) {
	if s := o.s; s.id != 0 {
		close(s.silent)
		o.r.unregister(s, "")
	}
	go o.serve(func() *session { return o.resume(err) })
}

// resume goes on where the relay has given up.
func (o *opening) resume(err error) *session {
	s := o.s
	if s.id == 0 {
		if o.packet.raw == nil {
			return o.run()
		}
		return o.search() // nobody to go to
	}
	why := s.ended()
	switch {
	case why == reasonKilled, errors.Is(err, relay.ErrHangup):
		_ = o.client.Close()
		return nil
	case why != "", errors.Is(err, relay.ErrSlow):
		// Nobody has failed.
	case s.connected == 0:
		o.r.metrics.connected(s.backend.Name, 0, err)
		if err := o.noConnection(s.backend, err); err != nil {
			o.turnAway(err)
			return nil
		}
	case err != nil:
		o.failed(s, fmt.Errorf("%s gave no answer: %w", s.backend.Name, err))
	case o.refusal != "":
		o.failed(s, fmt.Errorf("%s: %s", s.backend.Name, o.refusal))
	} // else it is the client: it went after a declined encryption request, or has not sent all of its next packet
	if o.turn {
		if o.packet, err = o.next(o.r.opts().StartTimeout); err != nil {
			_ = o.client.Close()
			return nil
		}
	}
	return o.search()
}
