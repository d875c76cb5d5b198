package proxy

import "slices"

// queue holds a listener's waiting clients in the order in which they came. The router's mu guards it.
type queue struct {
	opts    HoldOptions
	waiting []*waiter
	bytes   int64
	closed  bool
}

// waiter is one client that waits. A receive from again means: look whether there is a backend now.
type waiter struct {
	again chan struct{}
	bytes int64
}

// join adds a client that keeps size bytes, or says why it may not wait.
func (q *queue) join(size int) (*waiter, error) {
	switch {
	case q.opts.Timeout < 0:
		return nil, errNoHold
	case len(q.waiting) >= q.opts.MaxClients || q.bytes+int64(size) > q.opts.MaxBytes:
		return nil, errHoldFull
	}
	w := &waiter{again: make(chan struct{}, 1), bytes: int64(size)}
	q.waiting = append(q.waiting, w)
	q.bytes += w.bytes
	return w, nil
}

// leave removes w, which has joined.
func (q *queue) leave(w *waiter) {
	if i := slices.Index(q.waiting, w); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.bytes -= w.bytes
	}
}

// wakeAll is for news that may concern every client: a table.
func (q *queue) wakeAll() {
	for _, w := range q.waiting {
		w.wake()
	}
}

// wakeNext is for news that lets one client through: a session that ended. The client after the one that found it of no use is
// woken, the first of all when after is nil; so a place goes to the first client that it fits.
func (q *queue) wakeNext(after *waiter) {
	i := 0
	if after != nil {
		i = slices.Index(q.waiting, after) + 1
	}
	if i < len(q.waiting) {
		q.waiting[i].wake()
	}
}

// closeAll sends everybody away.
func (q *queue) closeAll() {
	q.closed = true
	q.wakeAll()
}

func (w *waiter) wake() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}
