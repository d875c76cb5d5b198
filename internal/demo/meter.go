package demo

import (
	"sync"
	"time"

	"quorate/internal/boottime"
)

// Gap is the longest time between two acknowledged commits, in a span of the demo.
type Gap struct {
	After   string        // what began the span
	Longest time.Duration // a commit that took long counts as much as one that failed
	Commits int           // acknowledged in the span
}

// meter knows when commits were acknowledged.
type meter struct {
	mu     sync.Mutex // guards what follows
	acked  []int64    // every acknowledged id
	recent []boottime.Instant
	last   boottime.Instant
	spans  []Gap
}

func newMeter() *meter { return &meter{spans: []Gap{{After: "the start"}}} }

// acknowledge counts a commit.
func (m *meter) acknowledge(id int64, now boottime.Instant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked = append(m.acked, id)
	m.recent = append(m.recent, now)
	span := &m.spans[len(m.spans)-1]
	span.Commits++
	if !m.last.IsZero() {
		span.Longest = max(span.Longest, now.Sub(m.last))
	}
	m.last = now
}

// mark begins a span. The gap in which it falls belongs to the new one.
func (m *meter) mark(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spans = append(m.spans, Gap{After: what})
}

// reading is what the meter shows.
type reading struct {
	Acked int
	Rate  int           // commits in the last second
	Since time.Duration // since the last commit; 0 before the first
	Spans []Gap
}

func (m *meter) read(now boottime.Instant) reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := 0
	for old < len(m.recent) && now.Sub(m.recent[old]) > time.Second {
		old++
	}
	m.recent = append(m.recent[:0], m.recent[old:]...)
	r := reading{Acked: len(m.acked), Rate: len(m.recent), Spans: append([]Gap(nil), m.spans...)}
	if !m.last.IsZero() {
		r.Since = now.Sub(m.last)
	}
	return r
}

// commits is how many there were in the present span.
func (m *meter) commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spans[len(m.spans)-1].Commits
}

// ids are all that were acknowledged.
func (m *meter) ids() []int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int64(nil), m.acked...)
}
