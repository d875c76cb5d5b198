package ha

import (
	"slices"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
	"quorate/raftstore/dcs"
)

// ownKey decides when the leader key carries this node's name.
func (d *decider) ownKey() {
	l := d.cluster.Leader
	switch {
	case !d.s.holdsKey():
		d.foreignLease(l)
	case d.s.PG.Folder != FolderData && d.s.PG.Phase == Stopped && !d.opBusy() && !d.bootstrapping():
		d.because(CodeFailingOver, "released the leader key: the data folder is %s", folderText(d.s.PG.Folder))
		d.release(dcs.Released{})
	default:
		d.lead()
	}
}

// foreignLease finds the own name in the leader key under a lease that is not this process's: that of the agent's former
// process. Where its primary still runs under the fence for that very term, the lease is taken up and nobody notices.
// Otherwise the key gives no right to promote: it is given back.
func (d *decider) foreignLease(l *dcs.Leader) {
	if d.standbyCluster() && d.knownStandby() && d.s.Fence.Term != l.Term {
		// It gives no right to promote, and is needed for none: the standby leader goes on.
		d.because(CodeLeading, "taking up the lease of this node's former process")
		d.do(AdoptLease{ID: l.Lease})
		return
	}
	alive := d.s.PG.writable() && d.s.Fence.Connected && d.s.Fence.Term == l.Term && d.s.Fence.Fired != l.Term
	switch {
	case alive || d.s.PG.Phase == Starting && d.s.Fence.Term == l.Term && d.s.Fence.Fired != l.Term:
		// The fence's term is the proof that this host took the lead and opened for it; a fence that dies later takes the proof along.
		d.because(CodeLeading, "taking up the lease of this node's former process")
		if d.do(AdoptLease{ID: l.Lease}) {
			d.mem.Acquired, d.mem.Promoted = l.Term, l.Term
		}
	case d.s.PG.writable(), d.s.PG.Phase != Stopped && !d.knownStandby() && !d.bareStandby():
		d.because(CodeDemoting, "the leader key carries this name, but the fence does not hold its term")
		d.do(FenceNow{Why: d.reason.Text})
	case d.opBusy():
		d.because(CodeWaiting, inProgress+"; the leader key is from before this process")
	case d.s.PG.Phase != Stopped && !d.knownStandby():
		d.because(CodeWaiting, "PostgreSQL has yet to say that it is a standby; the leader key is from before this process")
	default:
		d.because(CodeWaiting, "released a leader key from before this process, which gives no right to promote")
		d.commit("release a leader key from before this process", dcs.Txn{
			If:   []dcs.Compare{dcs.CreatedAt(d.s.Keys.Leader(), l.Term.Rev)},
			Then: []dcs.Op{dcs.Delete(d.s.Keys.Leader())},
		})
		d.readOnly()
	}
}

// readOnlyAfter is how long a PostgreSQL that was fenced stays down at first: a failover is over by then, or the store is back, and this server
// would be stopped again at once to be rewound.
const readOnlyAfter = 3 * time.Second

// readOnly starts a PostgreSQL that is down as a standby of nobody: the store may be away for long, and who only reads need not wait for it.
func (d *decider) readOnly() {
	if d.s.PG.Folder != FolderData || d.s.PG.Phase != Stopped {
		return
	}
	if left := d.s.PG.PhaseSince.Add(readOnlyAfter).Sub(d.s.Now); left > 0 {
		d.within(left)
		return
	}
	d.tryPG(StartStandby{})
}

// knownStandby says whether PostgreSQL has just said that it is in recovery.
func (d *decider) knownStandby() bool {
	return d.s.PG.standby() && d.s.Now.Sub(d.s.PG.SampleAt) < sampleTrust
}

// bareStandby says whether the fence knows that what runs may not write: it holds no deadline for it.
func (d *decider) bareStandby() bool {
	f := &d.s.Fence
	return f.Connected && f.Deadline == 0 && !f.Unfenced
}

// sampleTrust is how long a sample is good enough to act on.
const sampleTrust = 2 * time.Second

// lead decides while this node holds the leader key by its own lease.
func (d *decider) lead() {
	l := d.cluster.Leader
	switch {
	case d.bootstrapFailed():
		d.cancelBootstrap()
	case d.mem.Handover.Term == l.Term:
		d.handOver()
	case d.mem.GivenUp == l.Term:
		// The release may still be on its way: nothing opens for this term again.
		d.because(CodeFailingOver, "giving up the lead: waiting for the leader key to go")
		d.release(dcs.Released{})
		d.readOnly()
	case d.s.Fence.Fired == l.Term:
		d.because(CodeFenced, "released the leader key: the fence has ended this term")
		d.release(dcs.Released{})
		d.readOnly()
	case d.standbyCluster() && !d.mayWrite():
		d.leadStandby()
	case d.s.PG.writable():
		d.primary()
	case d.s.PG.standby():
		d.promote()
	case d.s.PG.Phase == Starting:
		d.starting()
	default:
		d.fallen()
	}
}

// primary is the steady state of a leader.
func (d *decider) primary() {
	l := d.cluster.Leader
	if d.s.Fence.Connected && d.s.Fence.Term != l.Term && d.mem.Acquired != l.Term {
		if d.s.Busy[LaneCommit] { // the key is in view before the answer to the commit that made it
			d.because(CodePromoting, "waiting for the store's answer")
			return
		}
		d.because(CodeDemoting, "PostgreSQL takes writes for a term that this node does not hold")
		d.do(FenceNow{Why: d.reason.Text})
		return
	}
	d.because(CodeLeading, "no action. I am (%s), the leader with the lock", d.s.Self.Name)
	if d.mem.Acquired == l.Term {
		d.mem.Promoted = l.Term // it is open: what ends now is a primary's crash, not a promotion that did not come about
	}
	d.arm(l.Term)
	if !d.opBusy() {
		d.mem.StartLimit = 0
	}
	if silent := d.silence(); silent > hungAfter && !d.opBusy() && d.couldTakeOver() {
		d.because(CodeFailingOver, "PostgreSQL has not answered for %s: fencing it to let another take over", silent.Round(time.Second))
		d.do(FenceNow{Why: "PostgreSQL hangs"})
		return
	}
	if d.resume() || d.clusterKeys() || d.demotesCluster() || d.askedToHandOver() || d.outOfRoom() {
		return
	}
	if d.s.Asked.Restart != nil {
		d.because(CodeLeading, "restarting PostgreSQL on request")
		if d.do(Restart{ID: d.s.Asked.Restart.ID}) {
			d.mem.StartLimit = d.s.Asked.Restart.Timeout
		}
		return
	}
	if d.s.Now.Sub(d.s.PG.SampleAt) < sampleTrust {
		d.synchronous()
		d.slots()
	}
	d.status()
}

// silence is how long PostgreSQL has not answered: to the monitor, or to somebody who wants to connect; or its disk to a write,
// which gets diskGrace more, because a busy disk is slower than a busy server.
func (d *decider) silence() time.Duration {
	p := &d.s.PG
	last := p.SampleAt
	if p.AcceptsAt != 0 && p.AcceptsAt.After(p.PhaseSince) {
		last = min(last, p.AcceptsAt)
	}
	if p.WritesAt != 0 && p.WritesAt.After(p.PhaseSince) {
		last = min(last, p.WritesAt.Add(diskGrace))
	}
	return d.s.Now.Sub(last)
}

const diskGrace = 2 * time.Second

// arm tells the fence the deadline whenever a later one is known. Only a term that this process took, or that the fence holds
// already, may be armed.
func (d *decider) arm(t dcs.Term) {
	f := d.s.Fence
	if f.Fired == t || t != f.Term && t != d.mem.Acquired {
		return
	}
	if want := d.s.fenceDeadline(t); f.Term != t || want.After(f.Deadline) {
		if d.s.Now.Before(want) {
			d.do(ArmFence{Term: t, Deadline: want})
		}
	}
}

// armed says whether the fence holds the term with a deadline ahead.
func (d *decider) armed(t dcs.Term) bool {
	f := d.s.Fence
	return f.Connected && f.Term == t && f.Fired != t && (f.Unfenced || d.s.Now.Before(f.Deadline))
}

// promote takes a standby with the leader key to a primary: key, deadline acknowledged by the fence, promotion.
func (d *decider) promote() {
	t := d.cluster.Leader.Term
	if d.s.Busy[LaneCommit] {
		d.because(CodePromoting, "waiting for the store's answer")
		return
	}
	if d.mem.Acquired != t {
		d.because(CodeWaiting, "released the leader key: PostgreSQL is a standby and this process has not taken the key")
		d.release(dcs.Released{})
		return
	}
	if d.syncBeforeOpening() {
		return
	}
	d.because(CodePromoting, "promoted self to leader by acquiring session lock")
	d.arm(t)
	if f := d.s.PG.Failed; f.Count > 0 && f.Action == "promote" && d.mem.Promoted == t {
		// Whether it opened is not known: the key must not go before everything has.
		d.because(CodeFailingOver, "giving up the lead: the promotion failed: %s", f.Text)
		d.do(FenceNow{Why: "the promotion failed"})
		return
	}
	if !d.armed(t) || d.mem.Promoted == t && d.opBusy() || !d.prePromoted(t) {
		return
	}
	if d.do(Promote{Term: t, Names: d.mem.TakeoverNames}) {
		d.mem.Promoted, d.mem.PromotedAt = t, d.s.Now
	}
}

// starting watches a primary that recovers.
func (d *decider) starting() {
	l := d.cluster.Leader
	d.arm(l.Term)
	took, limit := d.s.Now.Sub(d.s.PG.PhaseSince), d.s.Set.PrimaryStartTimeout
	if d.mem.StartLimit > 0 {
		limit = d.mem.StartLimit
	}
	d.because(CodeRecovering, "PostgreSQL is still starting up, %.0f seconds until timeout", max(0, (limit-took).Seconds()))
	if took > limit && d.couldTakeOver() {
		d.because(CodeFailingOver, "stopped PostgreSQL because of startup timeout")
		d.do(FenceNow{Why: d.reason.Text})
	}
}

// fallen decides for a leader whose PostgreSQL is not there: the start of a new cluster, or a crash.
func (d *decider) fallen() {
	l := d.cluster.Leader
	if d.opBusy() {
		d.arm(l.Term)
		d.because(CodeRecovering, "updated leader lock during an operation")
		return
	}
	if d.s.Busy[LaneCommit] && d.mem.Acquired != l.Term {
		d.because(CodePromoting, "waiting for the store's answer")
		return
	}
	if d.mem.Acquired != l.Term && d.s.Fence.Term != l.Term {
		d.because(CodeFailingOver, "released the leader key: PostgreSQL is down and this process does not know that it has taken the key")
		d.release(dcs.Released{})
		return
	}
	d.arm(l.Term)
	if d.bootstrapping() {
		d.because(CodeBootstrap, "starting the new cluster")
		if d.armed(l.Term) {
			d.tryPG(StartPrimary{Term: l.Term, Bootstrap: true})
		}
		return
	}
	if d.mem.Acquired == l.Term && d.mem.Promoted != l.Term {
		d.because(CodeFailingOver, "released the leader key: PostgreSQL stopped before it was promoted")
		d.release(dcs.Released{})
		return
	}
	if why, yes := d.failOverAfterCrash(); yes {
		d.because(CodeFailingOver, "stopped PostgreSQL to fail over after a crash: %s", why)
		d.release(dcs.Released{})
		return
	}
	if d.s.Set.SynchronousMode == dynamic.SyncOff && d.handToCurrent() {
		return
	}
	d.because(CodeRecovering, "starting primary after failure")
	if d.armed(l.Term) {
		d.tryPG(StartPrimary{Term: l.Term})
	}
}

// crashLoop is how many crashes in a row end the patience with a primary.
const crashLoop = 3

// failOverAfterCrash says whether another node serves better than a restart in place. In synchronous mode a listed standby has
// every acknowledged commit, so that nothing is lost. Without it only this node is sure to have them, and a restart comes
// first unless it does not work.
func (d *decider) failOverAfterCrash() (why string, yes bool) {
	if !d.couldTakeOver() {
		return "", false
	}
	failed := d.s.PG.Failed
	switch {
	case d.s.Set.PrimaryStartTimeout == 0:
		return "primary_start_timeout is 0", true
	case d.s.Set.SynchronousMode.Enabled():
		return "a synchronous standby has every acknowledged commit", true
	case d.s.PG.Crashes >= crashLoop:
		return "it has crashed again and again", true
	case failed.Count >= crashLoop && strings.HasPrefix(failed.Action, "start"):
		return "it does not start: " + failed.Text, true
	}
	return "", false
}

// couldTakeOver says whether a member that may lead is there: its lease lives, it runs, and in synchronous mode it is listed.
func (d *decider) couldTakeOver() bool {
	for _, m := range d.cluster.Members {
		if m.Name == d.s.Self.Name || m.State != "running" || m.Role == "uninitialized" || MayNotLead(m.Tags) {
			continue
		}
		if d.syncEnabled() && !slices.Contains(d.cluster.Sync.Standbys, m.Name) {
			continue
		}
		return true
	}
	return false
}

// MayNotLead reads a member's tags as Patroni 4.1 does: nofailover wins where it is written; else a failover_priority of zero or less forbids.
func MayNotLead(tags map[string]any) bool {
	if no, err := dynamic.Bool(tags["nofailover"]); err == nil {
		return no
	}
	return Priority(tags) <= 0
}

// Priority is the tag failover_priority, a number or its text; 1 unless it is written.
func Priority(tags map[string]any) int64 {
	if n, err := dynamic.Int(tags["failover_priority"]); err == nil {
		return n
	}
	return 1
}

func tagTrue(tags map[string]any, name string) bool {
	b, err := dynamic.Bool(tags[name]) // Patroni's members show text that was written as text
	return err == nil && b
}

// release gives the leader key up, by the term that is held, and tells in the same transaction how the term ended. It must only be
// called when nothing of this instance can take writes any more: it has gone, it was fenced, or it never opened.
func (d *decider) release(r dcs.Released) {
	l := d.cluster.Leader
	r.Term, r.From = l.Term, d.s.Self.Name
	ops := append([]dcs.Op{dcs.Delete(d.s.Keys.Leader()), dcs.Put(d.s.Keys.Released(), dcs.Encode(r), 0)}, d.fencedAgain()...)
	if d.commit("release the lead", dcs.Txn{If: []dcs.Compare{dcs.CreatedAt(d.s.Keys.Leader(), l.Term.Rev)}, Then: ops}) {
		d.mem.GivenUp = l.Term
	}
}

// fencedAgain takes the record of running without a fence away: with the lead goes the last of what it was for.
func (d *decider) fencedAgain() []dcs.Op {
	if u := d.cluster.Unfenced; u == nil || u.Node != d.s.Self.Name {
		return nil
	}
	return []dcs.Op{dcs.Delete(d.s.Keys.Unfenced())}
}
