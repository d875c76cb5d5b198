package proxy

import (
	"maps"
	"slices"
	"time"

	"quorate/internal/boottime"
)

// revokeWait bounds how long the next table waits for ended sessions to fall silent. Their sockets are shut by then; what it
// waits for is the last bytes in flight inside this process.
const revokeWait = 100 * time.Millisecond

// govern is the one goroutine that brings tables into use and lets them run out.
func (r *Router) govern() {
	for {
		select {
		case <-r.wake:
		case <-r.alarm.C:
		case <-r.ctx.Done():
			return
		}
		r.bringIntoUse()
	}
}

// bringIntoUse ends the sessions that the newest table (or the expiry of the present one) dooms, and only then uses it.
func (r *Router) bringIntoUse() {
	now := boottime.Now()
	r.mu.Lock()
	next, number := r.next, r.nextNo
	if next == nil {
		next = r.table
	}
	if next == nil {
		r.mu.Unlock()
		return
	}
	ruler := next
	if r.revoked {
		r.revoked, ruler = false, &Table{Backends: next.Backends}
	}
	verdict := func(s *session) reason { return s.verdict(ruler, now) }
	var doomed []*session
	if !sameShape(r.table, ruler) || ruler.Expired(now) {
		doomed = slices.DeleteFunc(r.allSessions(), func(s *session) bool { return verdict(s) == "" })
	}
	r.mu.Unlock()

	endAll(doomed, verdict)

	r.mu.Lock()
	r.install(next, now)
	r.tableNo = number
	if r.next == next {
		r.next = nil // else a newer one came meanwhile, and its wake is pending
	}
	done := r.applied
	r.applied = make(chan struct{})
	r.mu.Unlock()
	close(done)
}

// tellPrimary logs whom the router sends writers to from now on.
func (r *Router) tellPrimary(t *Table) {
	switch name := primaryName(t); {
	case name != "":
		r.log.Info("writers go to "+name, "term", t.Term.String())
	case r.table != nil:
		r.log.Info("there is no primary: writers wait")
	}
}

// install makes t the table in use; called with mu held. Tables come with every renewal of the lease and mostly say the same: then
// nobody is woken for them.
func (r *Router) install(t *Table, now boottime.Instant) {
	news := r.table == nil || r.ranOut || r.missed || t.Expired(now) || r.table.Term != t.Term || !slices.EqualFunc(r.table.Backends, t.Backends, sameBackend)
	if r.table == nil || r.table.Term != t.Term {
		r.tellPrimary(t)
	}
	if r.table != t {
		r.tableAt = now
	}
	r.table, r.ranOut, r.missed = t, t.Expired(now), false
	if news {
		clear(r.suspects)
		for _, s := range r.sessions {
			s.adopt(t)
		}
		for d := range r.dials {
			if d.void(t, now) {
				d.cancel(errMoved)
			}
		}
	}
	for _, l := range r.listeners {
		l.follow(t, now, news)
	}
	if r.ranOut {
		return // an alarm in the past would ring for ever
	}
	if err := r.alarm.set(t.ValidUntil); err != nil {
		r.log.Error("cannot arm the table's expiry; treating it as expired", "err", err)
		t.ValidUntil = now
	}
}

// follow applies the listener's lag limits, and lets its waiting clients look if that or anything else in the table is new.
func (l *listener) follow(t *Table, now boottime.Instant, news bool) {
	before := l.lagging
	l.lagging = Laggards(t, l.opts().Rule, before)
	if news || !maps.Equal(before, l.lagging) {
		l.refresh(t, now)
		l.queue.wakeAll()
	}
}

func primaryName(t *Table) string {
	p, _ := t.Primary()
	return p.Name
}

// verdict is why s may not live on under table t at now, or nothing.
func (s *session) verdict(t *Table, now boottime.Instant) reason {
	if !s.term.IsZero() {
		switch {
		case t.Term != s.term:
			return reasonTerm
		case t.Expired(now):
			return reasonExpired
		}
	}
	if !slices.ContainsFunc(t.Backends, s.runsOn) {
		return reasonBackendGone
	}
	return ""
}

func (s *session) runsOn(b Backend) bool { return b.Name == s.backend.Name && b.Addr == s.backend.Addr }

// adopt binds a session that was opened to a replica to the term under which that replica has become the primary: it can
// write from now on, so it must end with that term. Called with the router's mu held.
func (s *session) adopt(t *Table) {
	if p, ok := t.Primary(); ok && s.term.IsZero() && s.runsOn(p) {
		s.term = t.Term
	}
}

// sameShape says whether no session's fate differs between two unexpired tables.
func sameShape(a, b *Table) bool {
	return a != nil && a.Term == b.Term && slices.EqualFunc(a.Backends, b.Backends, func(x, y Backend) bool {
		return x.Name == y.Name && x.Addr == y.Addr && x.Role == y.Role
	})
}

// sameBackend compares all but the lag, which changes all the time.
func sameBackend(x, y Backend) bool {
	return x.Name == y.Name && x.Addr == y.Addr && x.Role == y.Role && x.Sync == y.Sync && x.Running == y.Running && x.Zone == y.Zone &&
		x.Tags.NoLoadBalance == y.Tags.NoLoadBalance && maps.Equal(x.Tags.Custom, y.Tags.Custom)
}

// endAll ends sessions all at once and waits, for a bounded time, until none of them passes bytes any more.
func endAll(doomed []*session, why func(*session) reason) {
	for _, s := range doomed {
		s.end(why(s))
	}
	limit := time.After(revokeWait)
	for _, s := range doomed {
		select {
		case <-s.silent:
		case <-limit:
			return
		}
	}
}
