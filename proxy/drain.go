package proxy

import (
	"context"
	"fmt"
	"time"
)

// drainLook is how often a drain looks for sessions that have become idle. Only drains do; nothing else here polls.
const drainLook = 5 * time.Millisecond

// freshFor is how long a session may take to its first statement before a drain ends it as idle: a client that has just been let in is about to ask.
const freshFor = 500 * time.Millisecond

// Drain prepares a planned change of the primary: no session is started there any more (clients wait), and each of its sessions
// is ended as soon as it stands between two transactions, so that work in progress is not thrown away. It returns nil when
// none is left, and ctx's cause when it ends before; what then remains is for Revoke or the next term's table. Encrypted sessions
// cannot be looked into, and remain.
//
// The drain is over when a table of another term comes, or with Undrain.
func (r *Router) Drain(ctx context.Context) error {
	r.mu.Lock()
	term := r.newestTerm()
	if term.IsZero() {
		r.mu.Unlock()
		return nil
	}
	r.draining = term
	r.mu.Unlock()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		busy := r.endIdle(term)
		if busy == 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("router: %d sessions are still busy: %w", busy, context.Cause(ctx))
		case <-r.ctx.Done():
			return ErrStopped
		}
	}
}

// Term is the newest table's.
func (r *Router) Term() Term {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newestTerm()
}

// newestTerm is called with mu held.
func (r *Router) newestTerm() Term {
	switch {
	case r.next != nil:
		return r.next.Term
	case r.table != nil:
		return r.table.Term
	}
	return Term{}
}

// Undrain lets sessions to the primary start again: the change was called off.
func (r *Router) Undrain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = Term{}
	for _, l := range r.listeners {
		l.queue.wakeAll()
	}
}

// endIdle ends the idle sessions of a term and counts the others.
func (r *Router) endIdle(term Term) (busy int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		if s.term != term {
			continue
		}
		busy++
		if s.idle() && (s.worked.Load() || time.Since(s.since) > freshFor) {
			s.end(reasonTerm)
		}
	}
	return busy
}
