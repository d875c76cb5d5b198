package raftstore

import (
	"context"
	"sync"
)

// progress is the log index up to which this replica has applied, and those who wait for it. Raft's own AppliedIndex
// means "handed to the state machine" and counts entries that the state machine never sees.
type progress struct {
	mu      sync.Mutex
	index   uint64
	waiters map[chan struct{}]uint64
}

func newProgress() *progress { return &progress{waiters: map[chan struct{}]uint64{}} }

func (p *progress) advance(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.index {
		return
	}
	p.index = index
	for ch, want := range p.waiters {
		if want <= index {
			close(ch)
			delete(p.waiters, ch)
		}
	}
}

func (p *progress) current() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index
}

// reached returns a channel that is closed once index is applied.
func (p *progress) reached(index uint64) <-chan struct{} {
	ch := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.index {
		close(ch)
		return ch
	}
	p.waiters[ch] = index
	return ch
}

// wait returns nil once index is applied, or the context's error.
func (p *progress) wait(ctx context.Context, index uint64) error {
	p.mu.Lock()
	if index <= p.index {
		p.mu.Unlock()
		return nil
	}
	ch := make(chan struct{})
	p.waiters[ch] = index
	p.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.waiters, ch)
		p.mu.Unlock()
		return ctx.Err()
	}
}
