package ha

import (
	"maps"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

// Failsafe mode (Patroni's reference 5.7, with its race against the lease's end closed): a primary that cannot reach the store asks every
// member of the last committed list. Each that agrees has stored, before it answers, that it takes no lead for a ttl, so that the primary
// may go on until then, counted from before it asked. Nobody else may take the lead while the list stands, and the list is compared by
// whoever takes it.

// failsafeAfter is the part of the ttl without a renewal after which the members are asked: there is time for a second round then.
const failsafeAfter = 3

// failsafe asks the members when the lease has not been renewed for too long, and tells the fence what they allowed.
func (d *decider) failsafe() {
	if !d.ownTerm() || d.s.Set.Pause || !d.s.Set.FailsafeMode {
		return
	}
	if d.s.Lease.ID != 0 && d.s.Now.Sub(d.s.Lease.Sent) < d.s.Set.TTL/failsafeAfter {
		d.within(d.s.Lease.Sent.Add(d.s.Set.TTL / failsafeAfter).Sub(d.s.Now))
		return
	}
	list := maps.Clone(d.cluster.Failsafe)
	if _, in := list[d.s.Self.Name]; !in {
		return
	}
	maps.Copy(list, d.mem.FailsafeTried) // it may have been written
	delete(list, d.s.Self.Name)
	if due := d.s.Failsafe.Sent.Add(d.s.timing().Renew); d.s.Failsafe.Term == d.s.Fence.Term && d.s.Now.Before(due) {
		d.within(due.Sub(d.s.Now))
	} else {
		at, _ := d.slotPositions()
		if d.do(AskFailsafe{Term: d.s.Fence.Term, TTL: d.s.Set.TTL, Members: list, Slots: at}) {
			d.within(d.s.timing().Renew)
		}
	}
	switch f := d.s.Failsafe; {
	case f.Term != d.s.Fence.Term:
	case !f.All && d.s.Now.Before(d.s.Fence.Deadline):
		d.because(CodeLeading, "the store does not answer, and failsafe mode cannot keep this primary up: %s", f.Why)
	case d.onFailsafe():
		d.because(CodeLeading, "continue to run as a leader because failsafe mode is enabled and all members are accessible")
		if want := d.s.fenceDeadline(d.s.Fence.Term); want.After(d.s.Fence.Deadline) {
			d.do(ArmFence{Term: d.s.Fence.Term, Deadline: want})
		}
	}
}

// ownTerm says whether the last term that was seen is this node's, and PostgreSQL takes writes for it under the fence.
func (d *decider) ownTerm() bool {
	f := d.s.Fence
	return d.s.PG.writable() && f.Connected && !f.Unfenced && !f.Term.IsZero() && f.Fired != f.Term && d.mem.Leader == d.s.Self.Name && d.mem.Term == f.Term
}

// onFailsafe says whether the members have allowed this primary to go on.
func (d *decider) onFailsafe() bool {
	return d.ownTerm() && d.s.Now.Before(d.s.failsafeDeadline(d.s.Fence.Term))
}

// failsafeDeadline is until when the members' promises hold for a term, less the margin.
func (s *Snapshot) failsafeDeadline(t dcs.Term) boottime.Instant {
	f := s.Failsafe
	if !f.All || f.Term != t || t.IsZero() || !s.Set.FailsafeMode {
		return 0
	}
	return f.Sent.Add(f.TTL - s.timing().Margin)
}

// Promised says whether this node has promised a primary without a store to take no lead. One that has given its lead up in order since
// does not need it any more.
func (s *Snapshot) Promised() bool {
	p := s.Promise
	if c := s.Store.Cluster; c != nil && c.Released != nil && c.Released.From == p.To && c.Released.Term.Covers(p.Term) {
		return false
	}
	return p.To != s.Self.Name && s.Now.Before(p.Until)
}

// keepPromise waits for the primary that goes on without the store, and follows it.
func (d *decider) keepPromise() {
	p, to := &d.s.PG, d.s.Promise
	d.because(CodeWaiting, "%s goes on as the primary without the store (failsafe mode): this node has promised to take no lead meanwhile", to.To)
	d.within(to.Until.Sub(d.s.Now))
	if p.Folder == FolderData && p.Phase == Stopped && !d.opBusy() {
		d.tryPG(StartStandby{Upstream: Upstream{Name: to.To, Conn: to.Conn, Term: d.mem.Term}})
	}
}

// keepFailsafeList keeps the list of who must agree. It says whether the list is being written.
func (d *decider) keepFailsafeList() bool {
	k, c := d.s.Keys, d.cluster
	if !d.s.Set.FailsafeMode {
		if c.FailsafeRev == 0 {
			return false
		}
		return d.commit("end failsafe mode", dcs.Txn{If: d.mine(dcs.Unchanged(k.Failsafe(), c.FailsafeRev)), Then: []dcs.Op{dcs.Delete(k.Failsafe())}})
	}
	want := map[string]string{d.s.Self.Name: d.s.Self.APIURL} // its own key may be missing after the store was away
	for _, m := range c.Members {
		want[m.Name] = m.APIURL
	}
	if maps.Equal(want, c.Failsafe) {
		d.mem.FailsafeTried = nil
		return false
	}
	done := d.commit("write the failsafe list", dcs.Txn{
		If: d.mine(dcs.Unchanged(k.Failsafe(), c.FailsafeRev)), Then: []dcs.Op{dcs.Put(k.Failsafe(), dcs.Encode(want), 0)},
	})
	if done {
		d.mem.FailsafeTried = want
	}
	return done
}

// failsafeLets says whether the failsafe list lets this node take the lead, with the compare that keeps it so: a primary without the store asks
// those on the list only.
func (d *decider) failsafeLets() (dcs.Compare, bool) {
	c := d.cluster
	if d.s.Promised() {
		d.keepPromise()
		return dcs.Compare{}, false
	}
	if _, in := c.Failsafe[d.s.Self.Name]; c.Failsafe != nil && !in {
		d.because(CodeWaiting, "this node is not in the failsafe list: a primary without the store may go on without having asked it")
		return dcs.Compare{}, false
	}
	return dcs.Unchanged(d.s.Keys.Failsafe(), c.FailsafeRev), true
}

// LeadUntil is until when a leader may count on its lead: the end of its lease, or what failsafe mode has allowed.
func (s *Snapshot) LeadUntil() boottime.Instant {
	return max(s.Lease.Deadline, s.failsafeDeadline(s.Fence.Term))
}

// FailsafeActive says whether failsafe mode is what keeps the cluster's primary up now: this one, or the one that this node has promised to.
func (s *Snapshot) FailsafeActive() bool {
	if s.PG.writable() {
		end := s.failsafeDeadline(s.Fence.Term)
		return s.Now.Before(end) && end.After(s.Lease.Deadline.Add(-s.timing().Margin))
	}
	return s.Promised()
}
