package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy/relay"
)

// What can become of a client that asks for a session, beside getting one.
var (
	errHoldTimeout = errors.New("no backend came in time")
	errHoldFull    = errors.New("too many clients wait already")
	errNoHold      = errors.New("this listener lets nobody wait")
	errFlood       = errors.New("too many connections that say nothing")
	errHangup      = errors.New("the client hung up")
)

// opening is a client on its way to a session: its first packets, and the search for a backend that answers them.
//
// As long as the client has not had a byte from a server, any failure of a backend (refused, silent, shutting down, starting
// up, deposed) is the router's to repair: it looks for another one until the hold time is over.
type opening struct {
	r      *Router
	l      *listener
	socket *relay.Conn    // the client's
	client duplex         // the same, or what it is behind TLS
	source netip.AddrPort // the client's; invalid for a UNIX socket
	host   string         // the same as limits count it
	in     startReader    // the client's bytes, until they are passed on unread

	since    time.Time     // when the wait for the first packet began
	patience time.Duration // with it; none: there are too many such clients
	mute     bool          // counted as one that has not said anything
	s        *session      // that the relay opens; see quick.go
	turn     bool          // the client's, to send the next packet to the server of s
	refusal  string        // by which the server of s turned the client away

	refused  []start // encryption requests that a server has answered with 'N', in order
	packet   start   // the packet that waits for an answer
	deadline time.Time
	waited   time.Duration
	table    uint64 // the number of the one that the last choice was made by
	last     string // the last refusal of a server, for the client's error message
	w        *waiter
}

// run returns the session, ready to be relayed, or nil when the client has been dealt with otherwise.
func (o *opening) run() *session {
	packet, err := o.first()
	if err == nil {
		packet, err = o.secure(packet)
	}
	if errors.Is(err, errPlain) {
		o.turnAway(err)
		return nil
	}
	if err != nil {
		o.r.rejected(o, err)
		_ = o.client.Close()
		return nil
	}
	o.packet = packet
	if packet.kind == startCancel {
		return o.cancel()
	}
	return o.search()
}

// search looks for a server that answers the client's packet.
func (o *opening) search() *session {
	o.deadline = time.Now().Add(o.l.opts().Hold.Timeout)
	for {
		s, err := o.attach()
		if err != nil {
			o.turnAway(err)
			return nil
		}
		switch o.converse(s) {
		case opened:
			return s
		case again:
			o.drop(s)
		case cancelled:
			o.drop(s)
			return o.cancel()
		case gone:
			o.drop(s)
			_ = o.client.Close()
			return nil
		}
	}
}

// first reads the client's first packet, and before it what a balancer says of the client.
func (o *opening) first() (start, error) {
	o.source = addrPortOf(o.client.RemoteAddr())
	if o.l.trusts(o.source.Addr()) {
		src, err := o.in.header(o.r.opts().StartTimeout)
		if err != nil {
			return start{}, err
		}
		if src.IsValid() {
			o.source = src
		}
	}
	o.host = hostOf(o.source)
	o.enter()
	defer o.leave()
	if o.patience <= 0 {
		return start{}, errFlood
	}
	return o.next(o.patience - time.Since(o.since))
}

// next reads the client's next packet. Once the router has stopped the deadline that ends such reads (serve) may have been set, and would be put off.
func (o *opening) next(patience time.Duration) (start, error) {
	if o.r.ctx.Err() != nil {
		return start{}, ErrStopped
	}
	return o.in.next(patience)
}

// enter counts the client as one that has not said anything, unless it is.
func (o *opening) enter() {
	if !o.mute {
		o.mute, o.since, o.patience = true, time.Now(), o.r.enter()
	}
}

// leave is called when it has.
func (o *opening) leave() {
	if o.mute {
		o.mute = false
		o.r.mute.Add(-1)
	}
}

// drop gives up a session that the client has not had a word from.
func (o *opening) drop(s *session) {
	_ = s.server.Close()
	close(s.silent)
	o.r.unregister(s, "")
}

// cancel carries out the client's cancel request. PostgreSQL closes without an answer when it is done, and so do we.
func (o *opening) cancel() *session {
	o.r.cancelQuery(o.l, o.packet, o.greeting())
	_ = o.client.Close()
	return nil
}

// attach finds a backend, connects to it and registers the session. It fails only when the client should not wait any longer.
func (o *opening) attach() (*session, error) {
	defer o.stopWaiting()
	for {
		choice, err := o.acquire()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		ctx, done := o.r.dialing(choice, o.table)
		server, err := o.r.dial(ctx, o.socket, choice.Backend.Addr, o.greeting())
		moved := err != nil && errors.Is(context.Cause(ctx), errMoved)
		done()
		if !moved {
			o.r.metrics.connected(choice.Backend.Name, time.Since(began), err)
		}
		if err != nil {
			o.r.release(o.l, choice.Backend.Name, o.host)
			if moved {
				continue // which is no fault of the backend
			}
			if err := o.noConnection(choice.Backend, err); err != nil {
				return nil, err
			}
			continue
		}
		s := o.newSession(choice, server, time.Since(began))
		if o.r.register(s) {
			return s, nil
		}
		// The table has changed under the connect; ask it again.
		_ = server.Close()
		o.r.release(o.l, choice.Backend.Name, o.host)
	}
}

// errMoved ends a connect to a backend that a newer table does not offer for it any more: a host that was lost would be waited for in vain, while its
// successor is there.
var errMoved = errors.New("the table has changed")

// dialing returns the context of a connect, which ends with the choice, made by the table of that number. The caller owes done.
func (r *Router) dialing(c Choice, table uint64) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	d := &dial{choice: c, cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials[d] = struct{}{}
	if (r.tableNo != table || r.ranOut) && d.void(r.table, boottime.Now()) {
		cancel(errMoved) // since the choice was made
	}
	return ctx, func() {
		r.mu.Lock()
		delete(r.dials, d)
		r.mu.Unlock()
		cancel(nil)
	}
}

// dial is a connect on its way.
type dial struct {
	choice Choice
	cancel context.CancelCauseFunc
}

// void says whether t does not offer the choice any more.
func (d *dial) void(t *Table, now boottime.Instant) bool {
	c := d.choice
	if !c.Term.IsZero() && (t.Term != c.Term || t.Expired(now)) {
		return true
	}
	return !slices.ContainsFunc(t.Backends, func(b Backend) bool { return b.Name == c.Backend.Name && b.Addr == c.Backend.Addr })
}

// noConnection sorts a failed connect: it is the backend's failure, unless this host has run out of something, which says nothing about
// the backend and may be over in a moment.
func (o *opening) noConnection(b Backend, err error) error {
	o.last = err.Error()
	if !outOf(err) {
		o.r.suspect(o.l, b, err)
		return nil
	}
	o.r.complain("this host has run out of what connections need", "listener", o.l.opts().Name, "backend", b.Name, "err", err)
	switch {
	case time.Now().After(o.deadline):
		return errHoldTimeout
	case !sleep(o.r.ctx, shortage):
		return ErrStopped
	}
	return nil
}

// greeting is what a connection to a backend begins with.
func (o *opening) greeting() []byte {
	if !o.l.opts().SendProxy {
		return nil
	}
	return proxyHeader(o.source, addrPortOf(o.client.LocalAddr()))
}

func (o *opening) newSession(c Choice, server *relay.Conn, connected time.Duration) *session {
	return &session{
		r: o.r, l: o.l, host: o.host, source: o.source, client: o.client, server: server,
		backend: c.Backend, term: c.Term, since: time.Now(), waited: o.waited, connected: connected, silent: make(chan struct{}),
	}
}

// acquire chooses a backend and takes a place on it, waiting as long as the hold time and the client allow.
func (o *opening) acquire() (Choice, error) {
	for {
		choice, no, err := o.tryAcquire()
		if err != nil || no == "" {
			return choice, err
		}
		if err := o.wait(no); err != nil {
			return Choice{}, fmt.Errorf("%w (%s)", err, no)
		}
	}
}

// tryAcquire looks once; a client that finds nothing joins the queue, in the same critical section, so that no news is lost.
func (o *opening) tryAcquire() (Choice, Refusal, error) {
	r, l := o.r, o.l
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil || l.queue.closed {
		return Choice{}, "", ErrStopped
	}
	choice, no := r.choose(l, o.host)
	o.table = r.tableNo
	if no == "" {
		l.take(choice.Backend.Name, o.host)
		return choice, "", nil
	}
	if o.w != nil {
		l.queue.wakeNext(o.w) // if it was a free place that woke us, it may fit the next
		return Choice{}, no, nil
	}
	var err error
	if o.w, err = l.queue.join(len(o.packet.raw)); err != nil {
		return Choice{}, no, fmt.Errorf("%w (%s)", err, no)
	}
	tune(o.client, r.opts().TCP)
	l.mostHeld = max(l.mostHeld, len(l.queue.waiting))
	r.metrics.holds.WithLabelValues(l.opts().Name, string(no)).Inc()
	return Choice{}, no, nil
}

// wait returns when it is worth looking again.
func (o *opening) wait(no Refusal) error {
	ctx, cancel := context.WithDeadlineCause(o.r.ctx, o.deadline, errHoldTimeout)
	defer cancel()
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	stop := watchHangup(o.client, func() { hangUp(errHangup) })
	defer stop()
	began := time.Now()
	defer func() { o.waited += time.Since(began) }()
	var cleared <-chan time.Time
	if no == RefusalSuspect {
		cleared = time.After(suspicion)
	}
	select {
	case <-o.w.again:
		return nil
	case <-cleared:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o *opening) stopWaiting() {
	if o.w == nil {
		return
	}
	o.r.mu.Lock()
	o.l.queue.leave(o.w)
	o.r.mu.Unlock()
	o.w = nil
	o.r.metrics.holdSeconds.WithLabelValues(o.l.opts().Name).Observe(o.waited.Seconds())
}

// turnAway tells the client, in its protocol as far as that is possible, why it gets no session.
func (o *opening) turnAway(err error) {
	defer func() { _ = o.client.Close() }()
	o.r.rejected(o, err)
	if errors.Is(err, errHangup) {
		return
	}
	message := fatal(o.explain(err))
	switch o.packet.kind {
	case startSession:
		farewell(o.client, message)
	case startSSL, startGSS:
		// There is no room for words in the answer to these requests. With 'N' a client that may go on without encryption sends
		// its startup message, and can be told; one that insists says that encryption is not to be had, and gives up likewise.
		for range encryptions {
			if o.packet.kind != startSSL && o.packet.kind != startGSS {
				break
			}
			if o.packet, err = o.decline(); err != nil {
				return
			}
		}
		if o.packet.kind == startSession {
			farewell(o.client, message)
		}
	}
}

// encryptions is how often a client may ask for encryption: once for each kind, as with PostgreSQL.
const encryptions = 2

// decline answers an encryption request with no and reads what comes then.
func (o *opening) decline() (start, error) {
	if _, err := o.client.Write([]byte{'N'}); err != nil {
		return start{}, fmt.Errorf("decline encryption: %w", err)
	}
	return o.in.next(farewellWait)
}

// explain finds the words for a client that is turned away.
func (o *opening) explain(err error) (state, message, hint string) {
	what := "no " + string(o.l.opts().Rule.Target) + " is available"
	if o.l.opts().Rule.Target == TargetAny || o.l.opts().Rule.Target == TargetTag {
		what = "no server is available"
	}
	switch {
	case errors.Is(err, ErrStopped):
		return stateCannotConnectNow, "the router is shutting down", "Connect again."
	case errors.Is(err, errPlain):
		return stateInvalidAuthorization, err.Error(), "Connect with sslmode=require or stricter."
	case errors.Is(err, errHoldFull), errors.Is(err, errNoHold):
		message = fmt.Sprintf("%s: %v", what, err)
	default:
		message = fmt.Sprintf("%s: waited %s: %v", what, o.waited.Round(time.Millisecond), err)
	}
	if o.last != "" {
		message += "; last failure: " + o.last
	}
	return stateCannotConnectNow, message, "Connect again later. \"quorate list\" on a host of the cluster shows its members and why they are not available."
}
