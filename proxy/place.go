package proxy

import "quorate/internal/boottime"

// tally counts sessions, of a listener or of one backend on it.
type tally struct {
	now, most int
	ever      int64
	in, out   int64 // bytes of sessions that are over
}

func (t *tally) take() {
	t.now++
	t.ever++
	t.most = max(t.most, t.now)
}

// place is what a listener knows of one backend. It outlives the backend's absence from the table: counters do not go back.
type place struct {
	tally
	failed  int64 // connects and openings
	up      bool  // serves this listener by the table in use
	changed boottime.Instant
	downs   int64
}

// place is called with the router's mu held.
func (l *listener) place(backend string) *place {
	p := l.places[backend]
	if p == nil {
		p = &place{changed: boottime.Now()}
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
	for name, p := range l.places {
		if p.up == up[name] {
			continue
		}
		if p.up {
			p.downs++
		}
		p.up, p.changed = up[name], now
	}
}
