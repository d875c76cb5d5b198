package etcd2

import (
	"net/http"
	"time"
)

// selfStats is /v2/stats/self: who this member is and whom it takes for its leader.
type selfStats struct {
	Name      string    `json:"name"`
	ID        string    `json:"id"`
	State     string    `json:"state"`
	StartTime time.Time `json:"startTime"`
	Leader    struct {
		ID string `json:"leader"`
	} `json:"leaderInfo"`
}

func (h *Handler) serveSelfStats(w http.ResponseWriter, r *http.Request) {
	self, leader := h.store.Header().GetMemberId(), h.store.Leader()
	stats := selfStats{ID: hexID(self), State: "StateFollower", StartTime: h.started}
	stats.Leader.ID = hexID(leader)
	if leader == self && leader != 0 {
		stats.State = "StateLeader"
	}
	if members, err := h.members(r.Context()); err == nil {
		for _, m := range members {
			if m.ID == self {
				stats.Name = m.Name
			}
		}
	}
	writeJSON(w, http.StatusOK, stats)
}

func (h *Handler) serveStoreStats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(h.store.V2Stats()) // the client has gone
}

// serveLeaderStats says who leads. Latencies of followers are in the metrics.
func (h *Handler) serveLeaderStats(w http.ResponseWriter, _ *http.Request) {
	self, leader := h.store.Header().GetMemberId(), h.store.Leader()
	if leader == 0 || leader != self {
		writeMessage(w, http.StatusForbidden, "not current leader")
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Leader    string              `json:"leader"`
		Followers map[string]struct{} `json:"followers"`
	}{hexID(leader), map[string]struct{}{}})
}
