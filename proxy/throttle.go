package proxy

import (
	"sync/atomic"
	"time"
)

// throttle lets one event through per interval and counts the rest, for log lines that a stranger can provoke.
type throttle struct {
	every   time.Duration
	began   time.Time
	next    atomic.Int64 // nanoseconds after began
	skipped atomic.Int64
}

func newThrottle(every time.Duration) *throttle { return &throttle{every: every, began: time.Now()} }

// pass says whether this event may be logged, and how many were not since the last one that was.
func (t *throttle) pass() (skipped int64, ok bool) {
	now, next := int64(time.Since(t.began)), t.next.Load()
	if now < next || !t.next.CompareAndSwap(next, now+int64(t.every)) {
		t.skipped.Add(1)
		return 0, false
	}
	return t.skipped.Swap(0), true
}
