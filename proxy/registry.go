package proxy

import (
	"hash/fnv"
	"math/rand/v2"
	"time"

	"quorate/internal/boottime"
)

// choose asks Pick with what the router knows now; called with mu held.
func (r *Router) choose(l *listener, host string) (Choice, Refusal) {
	if r.changing() {
		r.missed = true
		return Choice{}, RefusalNoTable
	}
	if o := l.opts(); o.MaxSessions > 0 && l.total.now >= o.MaxSessions || o.MaxPerClient > 0 && l.clients[host] >= o.MaxPerClient {
		return Choice{}, RefusalLimit
	}
	if int64(r.present()) >= r.capacity.Load() {
		return Choice{}, RefusalLimit
	}
	r.turn++
	turn := r.turn
	switch l.opts().Rule.Balance {
	case BalanceRandom:
		turn = rand.Uint64()
	case BalanceSource:
		h := fnv.New64a()
		_, _ = h.Write([]byte(host))
		turn = h.Sum64()
	}
	now := boottime.Now()
	table := r.table
	if table != nil && !r.draining.IsZero() && table.Term == r.draining {
		withdrawn := *table
		withdrawn.Term = Term{}
		table = &withdrawn
	}
	return Pick(Query{
		Table: table, Now: now, StaleReads: r.opts().StaleReads,
		Rule: l.opts().Rule, Zone: r.opts().Zone, Turn: turn, Lagging: l.lagging,
		Suspect: func(name string) bool { return now.Before(r.suspects[name]) },
		Full: func(name string) bool {
			return l.opts().MaxPerBackend > 0 && l.place(name).now >= l.opts().MaxPerBackend
		},
		Load: func(name string) int { return r.load(name) },
	})
}

// changing says whether a table waits that will end sessions: nobody is sent anywhere by the present one any more. Called with mu held.
func (r *Router) changing() bool { return r.next != nil && (r.revoked || !sameShape(r.table, r.next)) }

// present counts the sessions of all listeners; called with mu held.
func (r *Router) present() (n int) {
	for _, l := range r.listeners {
		n += l.total.now
	}
	return n
}

// load counts the sessions of every listener on one backend; called with mu held.
func (r *Router) load(name string) (n int) {
	for _, l := range r.listeners {
		if p := l.places[name]; p != nil {
			n += p.now
		}
	}
	return n
}

// take counts a session that is about to be opened; called with the router's mu held.
func (l *listener) take(backend, host string) {
	at := time.Since(rateFrom)
	l.total.take(at)
	l.place(backend).take(at)
	l.clients[host]++
}

// release is leave for a session that was not registered.
func (r *Router) release(l *listener, backend, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.leave(backend, host)
}

// leave takes back what take counted, and lets the next waiting client look; called with the router's mu held.
func (l *listener) leave(backend, host string) {
	l.total.now--
	l.place(backend).now--
	if l.clients[host]--; l.clients[host] == 0 {
		delete(l.clients, host)
	}
	l.queue.wakeNext(nil)
}

// suspicion is how long a backend that failed is left alone, if no table comes before. Tables do, several times in a lease; this is
// for the one that does not change anything and was not worth sending.
const suspicion = time.Second

// suspect keeps new sessions off a backend that failed, for a while.
func (r *Router) suspect(l *listener, b Backend, err error) {
	r.mu.Lock()
	r.suspects[b.Name] = boottime.Now().Add(suspicion)
	l.place(b.Name).failed++
	r.mu.Unlock()
	r.complain("a backend failed; no new sessions to it for a moment",
		"listener", l.opts().Name, "backend", b.Name, "address", b.Addr, "err", err)
}

// register makes s known if the table in use still agrees with the choice that s was opened by.
func (r *Router) register(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changing() || r.table == nil || r.ctx.Err() != nil {
		return false
	}
	s.adopt(r.table)
	if s.verdict(r.table, boottime.Now()) != "" {
		return false
	}
	r.add(s)
	return true
}

// add makes s known; called with mu held.
func (r *Router) add(s *session) {
	r.lastID++
	s.id = r.lastID
	r.sessions[s.id] = s
}

// unregister forgets s and gives its place away. Why is empty for one that never was open.
func (r *Router) unregister(s *session, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s.id)
	p := s.l.place(s.backend.Name)
	if why != "" {
		s.l.total.over(s, why)
		p.over(s, why)
	}
	up, down := s.flow.Counts()
	p.in, p.out = p.in+up, p.out+down
	if s.key != "" && r.keys[s.key] == s {
		delete(r.keys, s.key)
	}
	s.l.leave(s.backend.Name, s.host)
}

// remember notes the cancel key of s.
func (r *Router) remember(key string, s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.key == "" {
		s.key = key
		r.keys[key] = s
	}
}

// forget is the end of a session that was open.
func (r *Router) forget(s *session, why reason) {
	r.unregister(s, why)
	r.metrics.sessionOver(s, why)
	if r.opts().AccessLog {
		i := s.info()
		r.log.Info("session", "id", i.ID, "listener", i.Listener, "client", i.Client, "backend", i.Backend, "user", i.User,
			"database", i.Database, "seconds", i.Seconds, "bytes_in", i.BytesIn, "bytes_out", i.BytesOut, "end", string(why))
	}
}
