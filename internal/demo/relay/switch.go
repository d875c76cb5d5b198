package relay

import (
	"context"
	"sync"
)

// links knows which hosts are cut off.
type links struct {
	mu      sync.Mutex
	cut     map[string]bool
	changed chan struct{} // closed at each change
}

func newLinks() *links { return &links{cut: map[string]bool{}, changed: make(chan struct{})} }

// set cuts a host off, or joins it again.
func (l *links) set(host string, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[host] = cut
	close(l.changed)
	l.changed = make(chan struct{})
}

// open says whether something passes from one host to another; "" is a sender that is none of the hosts. When it does not pass, changed is closed as
// soon as it is worth another look.
func (l *links) open(from, to string) (open bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return from == to || !l.cut[from] && !l.cut[to], l.changed
}

// wait returns when something passes from one host to another.
func (l *links) wait(ctx context.Context, from, to string) error {
	for {
		open, changed := l.open(from, to)
		if open {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
