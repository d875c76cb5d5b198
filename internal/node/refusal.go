package node

import (
	"sync"
	"time"
)

// A fence that holds another store's term refuses every other one until that has ended: each answer would make the next decision ask again.
const (
	refusalPause = 100 * time.Millisecond
	refusalAgain = 10 * time.Second // after which the same refusal is logged once more
)

// refusals remembers what the fence refused last.
type refusals struct {
	mu   sync.Mutex
	last string
	at   time.Time
}

// news says whether a refusal is worth a line in the log.
func (r *refusals) news(err error, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err.Error() == r.last && now.Sub(r.at) < refusalAgain {
		return false
	}
	r.last, r.at = err.Error(), now
	return true
}
