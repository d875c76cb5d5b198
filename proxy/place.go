package proxy

import (
	"time"

	"quorate/internal/boottime"
)

// tally counts sessions, of a listener or of one backend on it.
type tally struct {
	now, most int
	ever      int64
	in, out   int64 // bytes of sessions that are over
	rate      rate
	lastAt    time.Duration // when the last one began, since rateFrom; meaningless before the first

	waited, connected, lasted   average // for a backend, to it, and in all; of sessions that are over
	clientAborts, backendAborts int64
}

func (t *tally) take(at time.Duration) {
	t.now++
	t.ever++
	t.most = max(t.most, t.now)
	t.rate.tick(at)
	t.lastAt = at
}

// over counts the end of a session.
func (t *tally) over(s *session, why reason) {
	t.waited.add(s.waited)
	t.connected.add(s.connected)
	t.lasted.add(s.waited + s.connected + time.Since(s.since))
	switch why {
	case reasonClientLost:
		t.clientAborts++
	case reasonBackendLost:
		t.backendAborts++
	}
}

// health is whether something serves, and how long it has not.
type health struct {
	up      bool // by the table in use
	changed boottime.Instant
	downs   int64
	down    time.Duration // before changed
}

func (h *health) set(up bool, now boottime.Instant) {
	if h.up == up {
		return
	}
	if h.up {
		h.downs++
	} else {
		h.down += now.Sub(h.changed)
	}
	h.up, h.changed = up, now
}

// downtime is all the time without service until now.
func (h *health) downtime(now boottime.Instant) time.Duration {
	if h.up {
		return h.down
	}
	return h.down + now.Sub(h.changed)
}

// place is what a listener knows of one backend. It outlives the backend's absence from the table: counters do not go back.
type place struct {
	tally
	health
	failed int64 // connects and openings
}

// place is called with the router's mu held.
func (l *listener) place(backend string) *place {
	p := l.places[backend]
	if p == nil {
		p = &place{health: health{changed: boottime.Now()}}
		l.places[backend] = p
	}
	return p
}

// refresh notes which backends serve the listener by table t; called with the router's mu held.
func (l *listener) refresh(t *Table, now boottime.Instant) {
	up := make(map[string]bool, len(t.Backends))
	q := Query{Table: t, Now: now, Rule: l.opts().Rule}
	for _, b := range t.Backends {
		l.place(b.Name)
		up[b.Name] = mayServe(q, b) && !l.lagging[b.Name]
	}
	any := false
	for name, p := range l.places {
		p.set(up[name], now)
		any = any || up[name]
	}
	l.health.set(any, now)
}
