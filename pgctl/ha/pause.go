package ha

import "quorate/raftstore/dcs"

// mustEndPause is false: a pause ends by an operator's word alone. It stands here to say so (invariant I4).
func (d *decider) mustEndPause() bool { return false }

// paused decides while the cluster's management is in an operator's hands: nothing is started, stopped, promoted or rewound. A
// primary stays writable even without a lease, under a committed record that keeps everybody else from being promoted; the
// record is committed before the fence's deadline is dropped.
func (d *decider) paused() {
	c, p := d.cluster, &d.s.PG
	d.because(CodePaused, "PAUSE: no action. I am (%s)", d.s.Self.Name)
	own := c.Leader != nil && c.Leader.Name == d.s.Self.Name
	switch {
	case own && !d.s.holdsKey() && p.writable() && d.s.Fence.Term == c.Leader.Term:
		if d.do(AdoptLease{ID: c.Leader.Lease}) {
			d.mem.Acquired, d.mem.Promoted = c.Leader.Term, c.Leader.Term
		}
	case own && d.s.holdsKey() && !p.writable() && p.Phase == Stopped && !d.opBusy():
		d.because(CodePaused, "PAUSE: removed leader lock because postgres is not running as primary")
		d.release(dcs.Released{})
	case own && d.s.holdsKey() && p.writable():
		d.pausedPrimary()
	case c.Leader == nil && p.writable() && c.Unfenced != nil && c.Unfenced.Node == d.s.Self.Name:
		d.because(CodePaused, "PAUSE: continue to run as primary without lock; taking it up again")
		d.acquire()
	case p.writable() && !own:
		d.because(CodePaused, "PAUSE: continue to run as primary without lock")
	}
}

func (d *decider) pausedPrimary() {
	c := d.cluster
	t := c.Leader.Term
	if u := c.Unfenced; u == nil || u.Term != t || u.Node != d.s.Self.Name {
		d.arm(t)
		rec := dcs.Unfenced{Node: d.s.Self.Name, Term: t}
		d.commit("record that this primary runs without a fence", dcs.Txn{
			If: d.mine(), Then: []dcs.Op{dcs.Put(d.s.Keys.Unfenced(), dcs.Encode(rec), 0)},
		})
		return
	}
	d.because(CodePaused, "PAUSE: no action. I am (%s), the leader with the lock", d.s.Self.Name)
	switch {
	case d.s.Fence.Unfenced && d.s.Fence.Term == t:
		if !d.askedToHandOverPaused() {
			d.status()
		}
	case d.s.Fence.Term != t:
		d.arm(t)
	default:
		d.do(Unfence{Term: t})
	}
}

// askedToHandOverPaused allows, in a pause, only a switchover to a candidate that was named.
func (d *decider) askedToHandOverPaused() bool {
	return d.cluster.Failover.Candidate != "" && d.askedToHandOver()
}

// resume ends what a pause began: the deadline stands again (the caller arms the fence) before the record goes. It says whether
// there is still something to do.
func (d *decider) resume() bool {
	u := d.cluster.Unfenced
	if u == nil || u.Node != d.s.Self.Name {
		return false
	}
	d.because(CodeLeading, "the pause is over: putting the fence back in force")
	if d.s.Fence.Unfenced || !d.armed(d.cluster.Leader.Term) {
		return true
	}
	return d.commit("end the record of running without a fence", dcs.Txn{If: d.mine(), Then: []dcs.Op{dcs.Delete(d.s.Keys.Unfenced())}})
}
