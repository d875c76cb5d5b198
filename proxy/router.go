package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy/relay"
)

// Errors that a caller can act on.
var (
	// ErrStopped is returned for work asked of a router that is stopping.
	ErrStopped = errors.New("the router is stopped")
	// ErrNoSession is returned by Kill when no session has the id.
	ErrNoSession = errors.New("no such session")
)

// Router accepts clients on its listeners and carries each to the backend that the newest table names.
//
//	New -> Start -> (Publish ...) -> Stop
//
// All methods are safe for concurrent use.
type Router struct {
	now      atomic.Pointer[Options] // as of the newest configuration, with its defaults
	capacity atomic.Int64            // sessions that it and the process's descriptors allow
	log      *slog.Logger
	quiet    *throttle // for what strangers can make the router log
	metrics  *metrics
	alarm    *alarm
	engine   *relay.Engine
	wake     chan struct{} // a table waits in next

	mute     atomic.Int64    // clients that have not said anything yet
	ctx      context.Context // ends when the router must not start anything any more
	cancel   context.CancelCauseFunc
	accept   sync.WaitGroup // accept loops
	clients  sync.WaitGroup // clients being served
	openings sync.WaitGroup // those of them that have neither a session nor an answer yet
	governor sync.WaitGroup
	stopOnce sync.Once

	doors  sync.Mutex // taken before mu by whoever opens and closes ports; guards closed
	closed bool

	mu        sync.Mutex  // guards what follows, and the queues of the listeners
	listeners []*listener // those that a new configuration has removed too, while something of theirs runs
	next      *Table      // published, not in use yet
	revoked   bool        // every session to a primary is to be ended, whatever next says
	missed    bool        // a client had to wait for next to be used, and must be woken even if it says nothing new
	nextNo    uint64      // counts the published tables
	table     *Table      // in use
	tableNo   uint64      // its number
	ranOut    bool        // it had expired when it was last looked at
	draining  Term        // no session is started under it
	tableAt   boottime.Instant
	suspects  map[string]boottime.Instant // backends that failed since the table came, and until when they are left alone
	sessions  map[uint64]*session
	keys      map[string]*session // by cancel key, plain sessions only
	lastID    uint64
	turn      uint64
	dials     map[*dial]struct{}
	applied   chan struct{} // closed and replaced whenever a table has come into use
}

// New checks the options. Nothing is opened before Start.
func New(opts Options) (*Router, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	descriptors, err := descriptorLimit()
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	capacity, err := opts.capacity(descriptors)
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	opts = opts.withDefaults()
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &Router{
		log: opts.Logger.With("component", "proxy"), quiet: newThrottle(time.Second),
		wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		suspects: make(map[string]boottime.Instant), sessions: make(map[uint64]*session), keys: make(map[string]*session),
		dials: make(map[*dial]struct{}), applied: make(chan struct{}),
	}
	r.now.Store(&opts)
	r.capacity.Store(int64(capacity))
	if r.metrics, err = newMetrics(r, opts.Registerer); err != nil {
		return nil, fmt.Errorf("router: register metrics: %w", err)
	}
	return r, nil
}

// Start opens every listener, or none, and serves until Stop. Clients that come before the first table wait for it.
func (r *Router) Start(ctx context.Context) error {
	a, err := newAlarm()
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	e, err := relay.New(relay.Options{Settle: func(fd int) { r.opts().TCP.keepAlive(fd) }})
	if err != nil {
		return errors.Join(fmt.Errorf("router: %w", err), a.close())
	}
	r.alarm, r.engine = a, e
	if err := r.Reconfigure(ctx, *r.opts()); err != nil {
		r.alarm, r.engine = nil, nil
		return errors.Join(err, a.close(), e.Close())
	}
	r.governor.Go(r.govern)
	return nil
}

// opts are the newest settings.
func (r *Router) opts() *Options { return r.now.Load() }

// Addr is the address that the named listener is bound to; nil when there is no such listener or it is not open.
func (r *Router) Addr(name string) net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.listeners, func(l *listener) bool { return l.opts().Name == name })
	if i < 0 || r.listeners[i].ln == nil {
		return nil
	}
	return r.listeners[i].ln.Addr()
}

// Publish replaces the table; the newest wins and it never blocks. Sessions of another term than t's are ended before any
// client is sent anywhere by t. A table that does not validate is dropped with an error in the log: the one in use then
// runs out by itself.
func (r *Router) Publish(t Table) {
	if err := t.Validate(); err != nil {
		r.metrics.tables.WithLabelValues("invalid").Inc()
		r.log.Error("dropped an invalid table", "err", err)
		return
	}
	r.mu.Lock()
	r.put(t.clone())
	r.mu.Unlock()
	r.metrics.tables.WithLabelValues("accepted").Inc()
}

// put hands t to the governor; called with mu held.
func (r *Router) put(t *Table) (number uint64) {
	r.next = t
	r.nextNo++
	select {
	case r.wake <- struct{}{}:
	default: // the governor is on its way and will find the newest
	}
	return r.nextNo
}

// Revoke withdraws the primary: no session is started there, and those of the present term have been ended when it returns
// without error. It is the first step of giving up the lead on this host. The next table may name a primary again.
func (r *Router) Revoke(ctx context.Context) error {
	r.mu.Lock()
	var without Table
	if r.next != nil {
		without = *r.next
	} else if r.table != nil {
		without = *r.table
	}
	without.Term = Term{}
	r.revoked = true // also if another table overtakes this one
	number := r.put(&without)
	for r.tableNo < number {
		done := r.applied
		r.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("router: end the primary's sessions: %w", context.Cause(ctx))
		case <-r.ctx.Done():
			return ErrStopped
		}
		r.mu.Lock()
	}
	r.mu.Unlock()
	return nil
}

// Retire closes the listeners and returns when each client that was accepted has its session or its answer: those that wait for a backend
// go on waiting, as long as they would have, and Publish must go on meanwhile. It returns ctx's cause when ctx ends before. Another process
// has the doors (see Files); Stop is what follows.
func (r *Router) Retire(ctx context.Context) error {
	r.closeListeners()
	r.accept.Wait()
	served := make(chan struct{})
	go func() { r.openings.Wait(); close(served) }()
	select {
	case <-served:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("router: clients still wait: %w", context.Cause(ctx))
	case <-r.ctx.Done():
		return ErrStopped
	}
}

// Stop closes the listeners, lets sessions run until ctx ends, then ends those that are left, and returns when all are gone.
// Clients that wait for a backend are told at once that the router goes down. A second call does nothing.
func (r *Router) Stop(ctx context.Context) (err error) {
	r.stopOnce.Do(func() { err = r.stop(ctx) })
	return err
}

func (r *Router) stop(ctx context.Context) error {
	r.closeListeners()
	r.accept.Wait()
	r.mu.Lock()
	for _, l := range r.listeners {
		l.queue.closeAll()
	}
	r.mu.Unlock()
	gone := make(chan struct{})
	go func() { r.clients.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	r.cancel(ErrStopped)
	if r.engine != nil {
		r.engine.Divert()
	}
	r.mu.Lock()
	left := r.allSessions()
	r.mu.Unlock()
	endAll(left, func(*session) reason { return reasonShutdown })
	<-gone
	r.governor.Wait()
	if r.alarm == nil {
		return nil
	}
	return errors.Join(r.alarm.close(), r.engine.Close())
}

func (r *Router) closeListeners() {
	r.doors.Lock()
	defer r.doors.Unlock()
	r.closed = true
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		if l.ln != nil {
			_ = l.ln.Close() // the descriptor is gone either way
		}
	}
}

// allSessions is called with mu held.
func (r *Router) allSessions() []*session {
	all := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s)
	}
	return all
}
