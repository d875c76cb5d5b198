package raftstore

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// repeatEvery is how often one and the same trouble is told. Raft tells of a member that is away with each failed heartbeat, three times a
// second for as long as it is away.
const repeatEvery = time.Minute

// repeats remembers what was told and when.
type repeats struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// due says whether a line is to be told now. Lines are the same when their text and whom they are about are; errors may differ in
// detail. It is true on a nil *repeats.
func (r *repeats) due(msg string, args []any, now time.Time) bool {
	if r == nil {
		return true
	}
	key := msg + about(args)
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.told[key]; ok && now.Sub(last) < repeatEvery {
		return false
	}
	if r.told == nil || len(r.told) >= maxTold {
		r.told = map[string]time.Time{}
	}
	r.told[key] = now
	return true
}

// maxTold bounds the memory of what was told.
const maxTold = 256

// about is whom a line of raft's is about: another member, or nobody.
func about(args []any) string {
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "peer", "server-id", "target", "from":
			return strings.TrimSpace(fmt.Sprint(args[i+1]))
		}
	}
	return ""
}
