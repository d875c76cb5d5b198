package node

import (
	"sync"
	"time"

	"quorate/internal/boottime"
)

// A fence that holds another store's term refuses every other one until that has ended: each answer would make the next decision ask again.
const (
	refusalPause = 100 * time.Millisecond
	refusalAgain = 10 * time.Second // after which the same refusal is logged once more
)

// refusals remembers what the fence refused.
type refusals struct {
	mu   sync.Mutex
	last echo
}

// news says whether a refusal is worth a line in the log.
func (r *refusals) news(err error, now boottime.Instant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.last.repeats(err.Error(), now, refusalAgain)
}
