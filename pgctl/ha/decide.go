package ha

import (
	"fmt"
	"time"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

// Decide says what follows from a snapshot. It is total: every snapshot has a decision.
func Decide(s Snapshot) Decision {
	d := &decider{s: s, mem: s.Mem, cluster: s.Store.Cluster, wake: s.Now.Add(s.Set.LoopWait)}
	if d.cluster == nil {
		d.blind()
	} else {
		d.observe()
		d.choose()
		d.failsafe()
	}
	d.upkeep()
	return Decision{Actions: d.actions, Wake: d.wake, Reason: d.reason, Mem: d.mem, Hold: d.hold}
}

// decider gathers one decision.
type decider struct {
	s       Snapshot
	cluster *dcs.Cluster
	mem     Memory
	actions []Action
	reason  Reason
	wake    boottime.Instant
	hold    bool
	fenced  bool // FenceNow is among the actions
}

// because sets the reason. The last one said holds, but that a request has been given up stays told.
func (d *decider) because(c Code, format string, args ...any) {
	d.reason = Reason{Code: c, Text: fmt.Sprintf(format, args...), GaveUp: d.reason.GaveUp}
}

// do adds an action and says whether its lane was free. One action for each lane fits into a decision; fencing has a lane of its
// own, so that it waits for nothing.
func (d *decider) do(a Action) bool {
	if _, kill := a.(FenceNow); kill {
		d.fenced = true
	}
	if d.busy(a.Lane()) {
		return false
	}
	d.actions = append(d.actions, a)
	return true
}

func (d *decider) busy(l Lane) bool {
	if d.s.Busy[l] {
		return true
	}
	for _, a := range d.actions {
		if a.Lane() == l {
			return true
		}
	}
	return false
}

// commit adds a transaction about the lead.
func (d *decider) commit(what string, t dcs.Txn) bool {
	return d.do(Commit{In: LaneCommit, What: what, Txn: t})
}

// within asks to be woken in t at the latest.
func (d *decider) within(t time.Duration) {
	if w := d.s.Now.Add(t); w.Before(d.wake) {
		d.wake = w
	}
}

// blind decides before the cluster's state was read for the first time. Nothing is started: what runs is left alone, and the
// fence watches over it.
func (d *decider) blind() {
	d.because(CodeNoStore, "waiting for the store: the cluster's state has not been read yet")
	if d.s.Asked.Stop {
		d.stopWithoutStore()
	}
}

// observe keeps the memory of leaders.
func (d *decider) observe() {
	l := d.cluster.Leader
	switch {
	case l != nil:
		d.mem.Leader, d.mem.Term, d.mem.Lease = l.Name, l.Term, l.Lease
		d.mem.GoneAt, d.mem.GoneRev, d.mem.RaceSince = 0, 0, 0
		if h := d.mem.Handover.Term; !h.IsZero() && l.Term.Rev > h.Rev && (l.Name == d.s.Self.Name || d.s.PG.Phase == Running) {
			d.mem.Handover = Handover{} // come to its end: in a pause it is what PostgreSQL may be started for
		}
	case d.mem.GoneRev == 0 || d.cluster.Status.Mod > d.mem.GoneRev:
		// Every takeover writes the status: written since the key was missed, another term has come and gone unseen, and what was asked
		// and pledged for the one before says nothing about it.
		d.mem.GoneAt, d.mem.GoneRev, d.mem.RaceSince = d.s.Now, d.cluster.Revision, 0
	}
	if _, ok := d.cluster.Member(d.s.Self.Name); ok {
		d.mem.SeenMember = true
	}
	if !d.stopAsked() {
		d.mem.LeavingSync = 0
	}
}

// choose finds the situation.
func (d *decider) choose() {
	switch {
	case d.s.PG.Folder == FolderUnknown:
		d.because(CodeWaiting, "looking at the data folder")
	case d.otherCluster():
	case d.s.Asked.Stop:
		d.stopping()
	case d.s.Set.Pause && !d.mustEndPause() && !d.handingOver():
		d.paused()
	case d.cluster.Leader == nil:
		d.noLeader()
	case d.cluster.Leader.Name == d.s.Self.Name:
		d.ownKey()
	default:
		d.follow()
	}
}

// otherCluster refuses to go on with a folder that belongs to another cluster.
func (d *decider) otherCluster() bool {
	own, want := d.s.PG.SystemID, d.cluster.Initialize
	if d.s.PG.Folder != FolderData || own == "" || want == "" || own == want {
		return false
	}
	text := fmt.Sprintf("system ID mismatch, node %s belongs to a different cluster: %s != %s", d.s.Self.Name, want, own)
	if d.s.Set.Pause {
		d.because(CodePaused, "PAUSE: %s", text) // an operator may be at it: an import, a restore
		return true
	}
	d.because(CodeFatal, "%s", text)
	if d.s.PG.writable() {
		d.do(FenceNow{Why: text})
	}
	d.do(Exit{Code: 1, Why: text + "; nothing was touched: check scope and data_dir, or empty the folder to let it be cloned"})
	return true
}

// opBusy says whether a PostgreSQL operation is in flight.
func (d *decider) opBusy() bool { return d.s.Busy[LanePG] }

// retryIn says how long to wait before an operation that has failed is tried again: it grows, and is bounded.
func (d *decider) retryIn() (time.Duration, bool) {
	f := d.s.PG.Failed
	if f.Count == 0 {
		return 0, true
	}
	pause := min(200*time.Millisecond<<min(f.Count, 6), 10*time.Second)
	left := f.At.Add(pause).Sub(d.s.Now)
	return left, left <= 0
}

// tryPG adds a PostgreSQL operation unless the last one has failed a moment ago.
func (d *decider) tryPG(a Action) bool {
	if left, ok := d.retryIn(); !ok {
		d.within(left)
		return false
	}
	return d.do(a)
}
