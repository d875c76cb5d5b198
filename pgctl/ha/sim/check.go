package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/pgctl/ha"
	"quorate/raftstore/dcs"
)

// checker holds what clients were told, and finds what must not be.
type checker struct {
	ids    int
	acks   map[int]dcs.Term
	top    dcs.Term // the newest term that acknowledged anything
	topBy  string
	opened map[dcs.Term]string
	acksBy map[string]int
	late   bool  // acknowledged by a host that has just come back from a pause
	asked  bool  // an operator has asked for a change of the leader since the pause began, or ended, or had asked for one that was not carried out yet
	paused int64 // the revision that the last pause began with
	// won are the hosts that decided outside of a pause to take the lead, whenever that came through, handing those that began a handover there.
	won, handing map[string]bool
}

func (c *checker) newID() int { c.ids++; return c.ids }

// acked is told of every acknowledgement. Two of different terms out of order are two primaries at once (I1).
func (c *checker) acked(h *host, t dcs.Term, id, at int) {
	if c.acks == nil {
		c.acks = map[int]dcs.Term{}
		c.acksBy = map[string]int{}
	}
	if c.late {
		c.acks[id] = t
		return
	}
	c.vouched(h, id, at)
	if t.Rev < c.top.Rev {
		h.w.violated("I1: %s acknowledged commit %d for term %s after %s had acknowledged for term %s", h.name, id, t, c.topBy, c.top)
	}
	c.top, c.topBy = t, h.name
	c.acks[id] = t
	c.acksBy[h.name]++
}

// vouched looks who could be promoted without the commit by what the sync key says now (I3): one of its voters with as many others as it
// asks for, none of whom has it. It finds at once what otherwise takes the loss of the right hosts in the right moment.
func (c *checker) vouched(h *host, id, at int) {
	key := h.w.store.view(h.keys).Sync
	if h.w.opt.Sync == "off" || key.Leader != h.name {
		return
	}
	var without []string
	for _, n := range key.Standbys {
		if log := h.w.host(n).pg.log; len(log) <= at || log[at].id != id {
			without = append(without, n)
		}
	}
	if len(without) > key.Quorum {
		h.w.violated("I3: %s acknowledged commit %d although the sync key lets one of %v be promoted, who lack it", h.name, id, without)
	}
}

// promoted is told of every opening for writes. In synchronous mode the new primary must have every acknowledged commit (I3).
func (c *checker) promoted(h *host, t dcs.Term) {
	if c.opened == nil {
		c.opened = map[dcs.Term]string{}
	}
	if by, ok := c.opened[t]; ok && by != h.name {
		h.w.violated("two hosts opened for term %s: %s and %s", t, by, h.name)
	}
	c.opened[t] = h.name
	if h.w.opt.Sync == "off" {
		return
	}
	have := map[int]bool{}
	for _, r := range h.pg.log {
		have[r.id] = true
	}
	for id, at := range c.acks {
		if !have[id] {
			h.w.violated("I3: %s was promoted for term %s without commit %d, acknowledged in term %s", h.name, t, id, at)
		}
	}
}

// begin is told of every action. Paused, nothing is started, stopped, promoted or rewound that no operator has asked for (I4). Who decided to take the lead before the
// pause opens for it all the same, and a handover that was begun goes to its end.
func (c *checker) begin(h *host, a ha.Action) {
	if c.won == nil {
		c.won, c.handing = map[string]bool{}, map[string]bool{}
	}
	switch t := a.(type) {
	case ha.Commit:
		if t.What == ha.AcquireLead {
			c.won[h.name] = !h.known.Set.Pause
		}
	case ha.Checkpoint: // a handover's first step
		c.handing[h.name] = !h.known.Set.Pause
	}
	if !h.known.Set.Pause || c.asked {
		return
	}
	switch a := a.(type) {
	case ha.Promote:
		if c.won[h.name] || a.Term.Rev < c.paused {
			return
		}
	case ha.StartStandby, ha.Stop:
		if c.handing[h.name] && !h.known.Mem.Handover.Term.IsZero() {
			return
		}
	case ha.Initdb, ha.StartPrimary, ha.Restart, ha.Rewind, ha.Clone:
	default:
		return
	}
	h.w.violated("I4: %s begins to %s although the cluster is paused: %s", h.name, a, h.last.Text)
}

// commit says what would be wrong with a commit if it went through now.
func (c *checker) commit(h *host, a ha.Commit, decided int64) string {
	if k := c.stale(h, a, decided); k != "" {
		return fmt.Sprintf("I9: %s decided on revision %d to %s, which went through although %s had changed", h.name, decided, a.What, k)
	}
	if n := c.behind(h, a); n > h.w.settings().MaximumLagOnFailover {
		return fmt.Sprintf("lag: %s took the lead %d commits behind the last leader's position", h.name, n)
	}
	if id := c.notCovered(h, a); id != 0 {
		return fmt.Sprintf("handover: %s says that whoever has the log up to a position lacks nothing, but the acknowledged commit %d lies behind it", h.name, id)
	}
	if slices.Contains(a.Txn.Then, dcs.Delete(h.keys.Leader())) && h.pg.writable() {
		return fmt.Sprintf("I1: %s gave up the leader key while its PostgreSQL takes writes", h.name)
	}
	return ""
}

// stale names a key that changed after the revision on which a commit about the lead was decided: one that it writes, or the
// leader key (I9). Taking the lead depends on the sync key too.
func (c *checker) stale(h *host, a ha.Commit, decided int64) string {
	if a.In != ha.LaneCommit {
		return ""
	}
	keys := []string{h.keys.Leader()}
	if a.What == ha.AcquireLead {
		keys = append(keys, h.keys.Sync(), h.keys.Initialize(), h.keys.Unfenced())
	}
	for _, op := range a.Txn.Then {
		keys = append(keys, op.Key)
	}
	for _, k := range keys {
		if h.w.store.last[k] > decided {
			return k
		}
	}
	return ""
}

// notCovered is an acknowledged commit that lies behind the position by which a handover vouches for its target.
func (c *checker) notCovered(h *host, a ha.Commit) int {
	if !strings.HasPrefix(a.What, ha.HandOver) {
		return 0
	}
	for _, op := range a.Txn.Then {
		var r dcs.Released
		if op.Key != h.keys.Released() || json.Unmarshal([]byte(op.Value), &r) != nil || r.LSN == 0 {
			continue
		}
		for i, rec := range h.pg.log {
			if _, acked := c.acks[rec.id]; acked && uint64(i) >= r.LSN {
				return rec.id
			}
		}
	}
	return 0
}

// behind is by how much a node that takes the lead of its own accord lags the position that the last leader told. In synchronous
// mode the sync key vouches for a node in its place.
func (c *checker) behind(h *host, a ha.Commit) int64 {
	v := h.w.store.view(h.keys)
	if h.w.opt.Sync != "off" || a.What != ha.AcquireLead || v.Failover.Candidate == h.name {
		return 0
	}
	return v.Status.Optime - int64(h.pg.end())
}

// step is called after every event.
func (c *checker) step(w *World) {
	for _, h := range w.hosts {
		if !h.pg.writable() || !h.awake() {
			continue
		}
		if h.fence.unfenced {
			if u := w.store.view(h.keys).Unfenced; u == nil || u.Node != h.name {
				w.violated("I2: %s is writable without a deadline, and no record says so (%v)", h.name, u)
			}
			continue
		}
		if h.fence.deadline == 0 || h.clock() > h.fence.deadline.Add(5*time.Microsecond) { // the timer event itself is due a microsecond behind
			w.violated("I2: %s is writable without a deadline ahead", h.name)
		}
	}
}

// atRest is called when nothing has failed for a while: there is one primary, everybody follows it, nothing is left to do.
func (c *checker) atRest(w *World) {
	primary := ""
	for _, h := range w.hosts {
		if !h.pg.writable() {
			continue
		}
		if primary != "" {
			w.violated("I7: %s and %s are both writable at rest", primary, h.name)
		}
		primary = h.name
	}
	if primary == "" {
		for _, h := range w.hosts {
			w.log("%s: %s: %+v", h.name, h.last.Text, h.known.PG)
		}
		w.violated("I7: there is no primary although nothing has failed for %s", w.opt.Quiet)
	}
	for _, h := range w.hosts {
		if h.name != primary && !h.pg.attached(w.host(primary)) {
			w.violated("I7: %s does not follow %s: %s: %+v", h.name, primary, h.last.Text, h.known.PG)
		}
		h.pg.sample(h, &h.known.PG)
		for _, a := range w.opt.Decide(h.snapshot()).Actions {
			if !periodic(a) {
				w.violated("I5: %s is not at rest: %s", h.name, a)
			}
		}
	}
	if w.opt.Sync == "off" {
		return
	}
	c.promoted(w.host(primary), w.host(primary).pg.term)
}

// periodic says whether an action belongs to rest.
func periodic(a ha.Action) bool {
	switch a := a.(type) {
	case ha.RenewLease, ha.ArmFence:
		return true
	case ha.Commit:
		return a.In == ha.LaneMember || a.In == ha.LaneStatus
	}
	return false
}
