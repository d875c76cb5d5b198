package ha

import (
	"fmt"
	"slices"
	"strings"

	"quorate/raftstore/dcs"
)

// check is what every decision must keep, whatever the snapshot. It says what is wrong.
func check(s *Snapshot, d *Decision) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if d.Reason.Code == "" || d.Reason.Text == "" {
		fault("there is no reason")
	}
	if d.Wake.Before(s.Now) || d.Wake.After(s.Now.Add(s.Set.LoopWait)) {
		fault("wake is %s from now, and loop_wait %s", d.Wake.Sub(s.Now), s.Set.LoopWait)
	}
	used := map[Lane]bool{}
	for _, a := range d.Actions {
		if c, ok := a.(Commit); ok && strings.HasPrefix(c.What, "clear the failover key") && d.Reason.GaveUp == "" {
			fault("a request is given up, and nobody is told why")
		}
		if used[a.Lane()] {
			fault("a second action in lane %s: %s", a.Lane(), a)
		}
		used[a.Lane()] = true
		if s.Busy[a.Lane()] {
			fault("lane %s is busy: %s", a.Lane(), a)
		}
		if why := wrong(s, d, a); why != "" {
			fault("%s: %s", a, why)
		}
	}
	return faults
}

// wrong says why an action must not be done on this snapshot.
func wrong(s *Snapshot, d *Decision, a Action) string {
	switch a := a.(type) {
	case Promote:
		return wrongOpening(s, a.Term)
	case StartPrimary:
		return wrongOpening(s, a.Term)
	case ArmFence:
		return wrongArming(s, a)
	case Unfence:
		if u := s.Store.Cluster.Unfenced; u == nil || u.Node != s.Self.Name || u.Term != a.Term {
			return "the record that keeps others from being promoted is not committed"
		}
	case RenewLease:
		if s.Lease.ID == 0 || s.Lease.ID != a.ID {
			return "that lease is not held"
		}
	case Commit:
		return wrongCommit(s, a)
	}
	return wrongInPause(s, a)
}

// wrongOpening: nothing is opened for writes but in the term whose key this node holds, and behind a fence that is armed for it.
func wrongOpening(s *Snapshot, t dcs.Term) string {
	switch f := s.Fence; {
	case s.Set.StandbyCluster != nil:
		return "the cluster follows another one"
	case s.Set.Pause && s.Mem.Acquired != t:
		return "paused (I4)"
	case s.Store.Cluster == nil || !s.holdsKey() || s.Store.Cluster.Leader.Term != t:
		return "the leader key of that term is not held"
	case !f.Connected || f.Term != t || f.Fired == t:
		return "the fence does not hold the term (I2)"
	case !f.Unfenced && !s.Now.Before(f.Deadline):
		return "the fence has no deadline ahead (I2)"
	}
	return ""
}

// wrongArming: the deadline lies before the end of the lease that was granted, by the margin, and the term is this process's.
func wrongArming(s *Snapshot, a ArmFence) string {
	switch {
	case a.Deadline.After(s.fenceDeadline(a.Term)):
		return "the deadline is later than the lease less the margin (I2)"
	case a.Deadline <= s.Now:
		return "the deadline has passed"
	case s.Fence.Fired == a.Term:
		return "the term has fired"
	case a.Term != s.Fence.Term && a.Term != s.Mem.Acquired:
		return "this process did not take that term"
	case allowed(s, a.Term):
	case s.Store.Cluster == nil || !s.holdsKey() || s.Store.Cluster.Leader.Term != a.Term:
		return "the leader key of that term is not held by this lease"
	}
	return ""
}

// allowed says whether every other member of the failsafe list has promised to take no lead beside the primary of a term.
func allowed(s *Snapshot, t dcs.Term) bool {
	f := s.Failsafe
	return s.Set.FailsafeMode && f.All && f.Term == t && s.Mem.Leader == s.Self.Name && s.Mem.Term == t && s.Now.Before(f.Sent.Add(f.TTL))
}

// wrongCommit: a change about the lead carries compares (I9), and the key is not given up while PostgreSQL may take writes (I1).
func wrongCommit(s *Snapshot, c Commit) string {
	if c.In == LaneMember {
		return ""
	}
	leader := s.Keys.Leader()
	compared := slices.ContainsFunc(c.Txn.If, func(x dcs.Compare) bool { return x.Key == leader })
	own := c.What == "leave" || strings.HasPrefix(c.What, "give the initialize key back")
	if !compared && !own {
		return "it does not depend on the leader key (I9)"
	}
	for _, op := range c.Txn.Then {
		if op.Key != leader {
			continue
		}
		if op.Delete && mayBeWritable(s) {
			return "PostgreSQL may be writable (I1)"
		}
		if !op.Delete && (op.Lease == 0 || op.Lease != s.Lease.ID) {
			return "the leader key is not bound to this node's lease"
		}
		if !op.Delete && !slices.Contains(c.Txn.If, dcs.Absent(leader)) {
			return "the lead is taken although somebody may have it (I9)"
		}
	}
	if c.What == AcquireLead {
		return wrongAcquiring(s, c)
	}
	return ""
}

// wrongAcquiring: the lead depends on the sync key and the initialize key as they were seen, and on there being no unfenced node.
func wrongAcquiring(s *Snapshot, c Commit) string {
	c0 := s.Store.Cluster
	for key, rev := range map[string]int64{s.Keys.Sync(): c0.Sync.Mod, s.Keys.Initialize(): c0.InitializeRev} {
		if !slices.Contains(c.Txn.If, dcs.Unchanged(key, rev)) && !(rev == 0 && slices.Contains(c.Txn.If, dcs.Absent(key))) && !(c0.Initialize == "" && key == s.Keys.Sync()) {
			return "it does not depend on " + key + " (I9)"
		}
	}
	if s.Promised() {
		return s.Promise.To + " was promised that this node takes no lead (I1)"
	}
	if !slices.Contains(c.Txn.If, dcs.Unchanged(s.Keys.Failsafe(), c0.FailsafeRev)) {
		return "it does not depend on the failsafe (I9) list"
	}
	if _, in := c0.Failsafe[s.Self.Name]; c0.Failsafe != nil && !in {
		return "it is not in the failsafe list (I1)"
	}
	if u := c0.Unfenced; u != nil && u.Node != s.Self.Name {
		return u.Node + " may take writes without a lease (I2)"
	}
	return ""
}

// mayBeWritable says whether anything of this instance could take writes: it was not fenced, and it runs or starts and is not known
// to be a standby. A sample from while a promotion is under way, or an old one, does not make it known.
func mayBeWritable(s *Snapshot) bool {
	p, t := &s.PG, s.Store.Cluster.Leader.Term
	switch {
	case s.Fence.Fired == t && !t.IsZero():
		return false
	case p.Phase == Stopped:
		return s.Busy[LanePG]
	case p.standby():
		return s.Mem.Promoted == t && (s.Busy[LanePG] || s.Now.Sub(p.SampleAt) > sampleTrust)
	}
	return true
}

// wrongInPause: paused, nothing is started, stopped, promoted or rewound by itself (I4).
func wrongInPause(s *Snapshot, a Action) string {
	if !s.Set.Pause {
		return ""
	}
	asked := s.Mem.Handover.Term != dcs.Term{} || s.Asked.Reinit != nil || s.Mem.StartCopy // by an operator
	if c := s.Store.Cluster; c != nil && c.Leader != nil && s.holdsKey() {
		asked = asked || s.Mem.Acquired == c.Leader.Term // the one who was handed the lead finishes
	}
	if asked {
		return ""
	}
	switch a.(type) {
	case Initdb, StartPrimary, StartStandby, Promote, Stop, Rewind, Clone, FenceNow:
		return "paused (I4)"
	}
	return ""
}
