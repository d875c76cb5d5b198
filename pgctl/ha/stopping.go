package ha

import (
	"quorate/raftstore/dcs"
)

// stopping decides while the agent is to end in order: hand over, stop PostgreSQL, release, leave. In a pause PostgreSQL and the
// key stay as they are.
func (d *decider) stopping() {
	p := &d.s.PG
	l := d.cluster.Leader
	d.because(CodeStopping, "stopping")
	switch {
	case d.s.Store.Down && !d.s.Now.Before(d.s.Lease.Deadline):
		d.because(CodeStopping, "stopping without the store: it does not answer, and this node's lease has ended")
		d.stopWithoutStore()
	case d.s.Set.Pause && l != nil && d.s.holdsKey() && p.writable() && !(d.s.Fence.Unfenced && d.s.Fence.Term == l.Term):
		d.pausedPrimary() // the pause has just begun: with the deadline left in force the fence would end PostgreSQL soon
		d.because(CodeStopping, "stopping in a pause: PostgreSQL is to go on without this agent")
	case d.s.Set.Pause:
		d.do(Exit{Why: "stopped; PostgreSQL goes on in the pause"})
	case l != nil && l.Name == d.s.Self.Name && d.s.holdsKey():
		d.stopLeader(l)
	case d.opBusy():
	case p.Phase != Stopped && !d.leftSync():
		d.reason.Code = CodeStopping
	case p.Phase != Stopped:
		d.do(Stop{Mode: "fast", Why: "the agent stops"})
	case d.s.Lease.ID != 0 && d.hasMemberKey():
		d.commit("leave", dcs.Txn{Then: []dcs.Op{dcs.Delete(d.s.Keys.Member(d.s.Self.Name))}})
	default:
		d.do(Exit{Why: "stopped"})
	}
}

func (d *decider) hasMemberKey() bool {
	_, ok := d.cluster.Member(d.s.Self.Name)
	return ok
}

// stopLeader hands over to the best standby, or only releases when there is none.
func (d *decider) stopLeader(l *dcs.Leader) {
	if d.mem.Handover.Term != l.Term {
		to, _ := d.successor(dcs.Failover{Leader: d.s.Self.Name})
		d.mem.Handover = Handover{Term: l.Term, To: to, Reason: "the agent stops", Since: d.s.Now}
	}
	d.handOver()
	d.reason.Code = CodeStopping
}

// stopWithoutStore ends without the store's help: PostgreSQL is stopped, and what is left is for the leases to end.
func (d *decider) stopWithoutStore() {
	switch {
	case d.s.Set.Pause:
		d.do(Exit{Why: "stopped without the store; PostgreSQL goes on in the pause"})
	case d.opBusy():
	case d.s.PG.Phase != Stopped:
		d.do(Stop{Mode: "fast", Why: "the agent stops"})
	default:
		d.do(Exit{Why: "stopped without the store"})
	}
}
