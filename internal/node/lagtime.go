package node

import (
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy"
)

// lagClock turns a replica's distance in bytes into one in time: it remembers when the primary was first seen at which position. The
// resolution is that of the members' reports, about loop_wait. Where the primary writes nothing, whoever has replayed all of it lags by
// nothing, however long ago that was; pg_last_xact_replay_timestamp() cannot say that.
type lagClock struct {
	mu    sync.Mutex
	term  proxy.Term
	marks []lagMark // positions grow
}

type lagMark struct {
	at  boottime.Instant
	pos int64
}

// maxMarks bounds the memory: with a report a second a quarter of an hour. Older lag is told as at least that.
const maxMarks = 1024

// fill completes a table. The primary's position is in it as Position.
func (l *lagClock) fill(t *proxy.Table, now boottime.Instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.Term.IsZero() {
		return // the last primary's position stands, and says nothing any more
	}
	l.note(t.Term, t.Position, now)
	for i := range t.Backends {
		b := &t.Backends[i]
		switch {
		case b.Role == proxy.RolePrimary:
			b.LagTime = 0
		case b.LagBytes >= 0:
			b.LagTime = l.since(t.Position-b.LagBytes, now)
		}
	}
}

// note remembers a position. Another term may begin at a lower one.
func (l *lagClock) note(term proxy.Term, pos int64, now boottime.Instant) {
	n := len(l.marks)
	if term != l.term || n > 0 && pos < l.marks[n-1].pos {
		l.term, l.marks, n = term, nil, 0
	}
	if n > 0 && pos == l.marks[n-1].pos {
		return
	}
	if n == maxMarks {
		l.marks = append(l.marks[:0], l.marks[1:]...)
	}
	l.marks = append(l.marks, lagMark{now, pos})
}

// since is how long ago the primary was first seen ahead of a position.
func (l *lagClock) since(pos int64, now boottime.Instant) time.Duration {
	for _, m := range l.marks {
		if m.pos > pos {
			return now.Sub(m.at)
		}
	}
	return 0
}
