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
	case own && d.leadsPausedStandby():
		d.pausedStandbyLeader()
	case own && d.s.holdsKey() && p.standby() && d.mem.Acquired == c.Leader.Term:
		d.promote() // what an operator's switchover began
	case c.Leader == nil && p.standby() && !d.opBusy() && c.Released != nil && c.Released.To == d.s.Self.Name && c.Failover.Candidate == d.s.Self.Name:
		d.handedOver()
	case c.Leader == nil && d.namedInPause():
		d.race()
	case c.Leader == nil && p.writable() && c.Unfenced != nil && c.Unfenced.Node == d.s.Self.Name:
		d.because(CodePaused, "PAUSE: continue to run as primary without lock; taking it up again")
		d.acquire()
	case c.Leader == nil && p.writable() && c.Initialize == "":
		d.bootstrap()
	case p.writable() && !own:
		d.because(CodePaused, "PAUSE: continue to run as primary without lock")
	case !own && !d.opBusy():
		d.pausedStandby()
	}
}

// namedInPause says whether an operator's failover, or a switchover whose leader is gone, names this standby, and nobody goes on without a fence. It races as it would
// outside of a pause, and nobody else does.
func (d *decider) namedInPause() bool {
	f := d.cluster.Failover
	return d.s.PG.standby() && !d.opBusy() && f.Candidate == d.s.Self.Name && f.ScheduledAt == "" && d.cluster.Unfenced == nil && d.cluster.Initialize != ""
}

// handingOver says whether this node is giving its lead up in order: a switchover goes to its end in a pause, too.
func (d *decider) handingOver() bool {
	l := d.cluster.Leader
	return l != nil && d.s.holdsKey() && d.mem.Handover.Term == l.Term
}

// pausedStandby does what an operator asked for, and nothing else.
func (d *decider) pausedStandby() {
	p, h := &d.s.PG, d.mem.Handover
	switch {
	case p.standby() && d.s.Asked.Restart != nil:
		d.because(CodePaused, "PAUSE: restarting PostgreSQL on request")
		d.do(Restart{ID: d.s.Asked.Restart.ID})
	case p.Phase == Stopped && p.Folder == FolderData && d.s.Asked.Restart != nil:
		d.because(CodePaused, "PAUSE: starting PostgreSQL on request, as a standby")
		r := Restart{ID: d.s.Asked.Restart.ID, Stopped: true}
		if d.cluster.Leader != nil {
			r.Upstream = d.source()
		}
		d.do(r)
	case d.cluster.Leader == nil || p.writable():
	case d.s.Asked.Reinit != nil:
		d.reinit()
		d.mem.StartCopy = true
	case p.Phase == Running:
		d.mem.Handover, d.mem.StartCopy = Handover{}, false
		d.followPaused()
		d.slots()
	case p.Phase == Stopped && d.mem.StartCopy && p.Folder == FolderData:
		d.because(CodePaused, "PAUSE: starting the new copy as a secondary of %s", d.cluster.LeaderName())
		d.tryPG(StartStandby{Upstream: d.source()})
	case p.Phase == Stopped && !h.Term.IsZero() && h.Stage == stageStop && h.To == d.cluster.Leader.Name && d.cluster.Leader.Term != h.Term:
		d.rejoin() // the end of the switchover that this process carried out: the old primary follows the new one
	}
}

// followPaused turns a running standby to the leader that an operator's switchover has made: by its configuration alone, without a stop.
func (d *decider) followPaused() {
	p, l := &d.s.PG, d.cluster.Leader
	up, src := d.upstream(), d.source()
	if !d.knownStandby() || up.Conn == "" || p.Pledged.Covers(l.Term) || p.Following == src {
		return
	}
	d.because(CodePaused, "PAUSE: following new leader %s", l.Name)
	d.tryPG(Follow{Upstream: src})
}

func (d *decider) pausedPrimary() {
	c, p := d.cluster, &d.s.PG
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
		switch {
		case d.askedToHandOverPaused():
		case d.s.Asked.Restart != nil:
			d.because(CodePaused, "PAUSE: restarting PostgreSQL on request")
			d.do(Restart{ID: d.s.Asked.Restart.ID})
		case d.clusterKeys(): // a store that was founded anew has none of them
		default:
			// A standby that is stuck or gone must not hold up commits because somebody works on the cluster; nobody but an operator promotes.
			if d.s.Now.Sub(p.SampleAt) < sampleTrust {
				d.synchronous()
				d.slots()
			}
			d.status()
		}
	case d.s.Fence.Term != t:
		d.arm(t)
	case d.s.Busy[LaneCommit]: // perhaps the end of the record, which the pause that has just ended had asked for
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
	// The record of the next pause is not this one's to end, however late this arrives.
	k := d.s.Keys.Unfenced()
	return d.commit("end the record of running without a fence", dcs.Txn{
		If: d.mine(dcs.Unchanged(k, d.cluster.UnfencedRev)), Then: []dcs.Op{dcs.Delete(k)},
	})
}
