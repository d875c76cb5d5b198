package node

import (
	"sync"
	"time"

	"quorate/api/rest"
	"quorate/pgctl/ha"
)

// decisions keeps the last decisions that changed something, for `quorate why`.
type decisions struct {
	mu   sync.Mutex
	ring []rest.DecisionRecord
	sink func(rest.DecisionRecord)
}

// keptDecisions is how many are kept: a bad night's worth.
const keptDecisions = 500

func (h *decisions) add(at time.Time, why ha.Reason, actions []string) {
	r := rest.DecisionRecord{At: at, Reason: string(why.Code), Text: why.Text, GaveUp: why.GaveUp, Actions: actions}
	h.mu.Lock()
	h.ring = append(h.ring, r)
	if len(h.ring) > keptDecisions {
		h.ring = append(h.ring[:0], h.ring[1:]...)
	}
	h.mu.Unlock()
	if h.sink != nil {
		h.sink(r)
	}
}

// list is a copy, the newest last.
func (h *decisions) list() []rest.DecisionRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]rest.DecisionRecord(nil), h.ring...)
}
