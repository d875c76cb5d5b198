package ha

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/raftstore/dcs"
)

// mutants are decisions gone wrong. A check that lets one pass would let the real mistake pass.
var mutants = []struct {
	name   string
	want   string                          // what check says of it
	change func(*Snapshot, *Decision) bool // false: it does not apply to this decision
}{
	{"two actions in a lane", "a second action in lane", func(_ *Snapshot, d *Decision) bool {
		d.Actions = append(slices.Clone(d.Actions), d.Actions...)
		return len(d.Actions) > 0
	}},
	{"an action in a busy lane", "is busy", func(s *Snapshot, d *Decision) bool {
		d.Actions = []Action{Checkpoint{}}
		return s.Busy[LanePG]
	}},
	{"a moment that has passed", "wake is", func(s *Snapshot, d *Decision) bool { d.Wake = s.Now.Add(-time.Millisecond); return true }},
	{"no reason", "there is no reason", func(_ *Snapshot, d *Decision) bool { d.Reason = Reason{}; return true }},
	{"a request given up without a word", "nobody is told why", func(_ *Snapshot, d *Decision) bool {
		gave := d.Reason.GaveUp != ""
		d.Reason.GaveUp = ""
		return gave
	}},
	{"promotion without the key", "leader key of that term is not held", func(s *Snapshot, d *Decision) bool {
		d.Actions = []Action{Promote{Term: term(1)}}
		return !s.Set.Pause && !s.Busy[LanePG]
	}},
	{"promotion without a fence", "the fence", func(s *Snapshot, d *Decision) bool { s.Fence = Fence{}; return has[Promote](d) }},
	{"promotion after the deadline", "no deadline ahead", func(s *Snapshot, d *Decision) bool {
		s.Fence.Deadline, s.Fence.Unfenced = s.Now.Add(-time.Millisecond), false
		return has[Promote](d)
	}},
	{"a start for writes without a fence", "the fence", func(s *Snapshot, d *Decision) bool { s.Fence = Fence{}; return has[StartPrimary](d) }},
	{"a deadline without margin", "later than the lease", mutateActions(func(a ArmFence) Action { a.Deadline = a.Deadline.Add(time.Millisecond); return a })},
	{"a fence armed for somebody's term", "did not take that term", mutateActions(func(a ArmFence) Action { a.Term = term(7); return a })},
	{"the fence dropped before the record", "not committed", func(s *Snapshot, d *Decision) bool {
		if !has[Unfence](d) {
			return false
		}
		c := *s.Store.Cluster
		c.Unfenced, s.Store.Cluster = nil, &c
		return true
	}},
	{"another lease renewed", "not held", mutateActions(func(a RenewLease) Action { return RenewLease{ID: a.ID + 1} })},
	{"the lead taken without a look at it", "I9", uncompared(AcquireLead, "/leader")},
	{"the lead taken without a look at the sync key", "I9", uncompared(AcquireLead, "/sync")},
	{"the lead taken without a look at the initialize key", "I9", uncompared(AcquireLead, "/initialize")},
	{"a lead released that may be another's", "I9", uncompared("release the lead", "")},
	{"a lead handed over that may be another's", "I9", uncompared("hand the lead over", "")},
	{"an old key released that may be another's", "I9", uncompared("release a leader key", "")},
	{"a sync key written in an old term", "I9", uncompared("synchronous replication", "/leader")},
	{"a history written in an old term", "I9", uncompared("write the history", "/leader")},
	{"a roster written in an old term", "I9", uncompared("write the roster", "/leader")},
	{"a status written in an old term", "I9", uncompared("status", "")},
	{"an unfenced record written in an old term", "I9", uncompared("record that", "/leader")},
	{"a failover key cleared in an old term", "I9", uncompared("clear the failover", "/leader")},
	{"a leader key without a lease", "not bound", mutateActions(func(a Commit) Action {
		a.Txn.Then = slices.Clone(a.Txn.Then)
		for i := range a.Txn.Then {
			a.Txn.Then[i].Lease = 0
		}
		return a
	})},
	{"a release while PostgreSQL takes writes", "may be writable", func(s *Snapshot, d *Decision) bool {
		s.PG.Phase, s.PG.InRecovery, s.Fence.Fired = Running, false, dcs.Term{}
		return commits(d, "release the lead") || commits(d, "hand the lead over")
	}},
	{"a promotion in a standby cluster", "follows another one", func(s *Snapshot, d *Decision) bool {
		if s.Set.StandbyCluster == nil || s.Store.Cluster == nil || s.Store.Cluster.Leader == nil {
			return false
		}
		d.Actions = []Action{Promote{Term: s.Store.Cluster.Leader.Term}}
		return true
	}},
	{"a lead taken whatever the failsafe list says meanwhile", "failsafe (I9)", uncompared(AcquireLead, "/failsafe")},
	{"a lead taken in spite of a promise", "was promised", func(s *Snapshot, d *Decision) bool {
		if !commits(d, AcquireLead) {
			return false
		}
		s.Promise = Promise{To: "b", Until: s.Now.Add(time.Second)}
		return s.Promised()
	}},
	{"a stop in a pause", "I4", func(s *Snapshot, d *Decision) bool {
		d.Actions = []Action{Stop{Mode: "fast"}}
		return s.Set.Pause && !s.Busy[LanePG]
	}},
}

// TestMutants makes each mistake on random decisions: check says so every time that the mistake says something.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			for seed := range uint64(30000) {
				s := randomSnapshot(seed)
				d := Decide(s)
				if !m.change(&s, &d) {
					continue
				}
				if faults := check(&s, &d); strings.Contains(strings.Join(faults, "; "), m.want) {
					return
				}
			}
			t.Error("check lets it pass")
		})
	}
}

func has[A Action](d *Decision) bool {
	return slices.ContainsFunc(d.Actions, func(a Action) bool { _, ok := a.(A); return ok })
}

func commits(d *Decision, what string) bool {
	return slices.ContainsFunc(d.Actions, func(a Action) bool { c, ok := a.(Commit); return ok && strings.HasPrefix(c.What, what) })
}

func mutateActions[A Action](change func(A) Action) func(*Snapshot, *Decision) bool {
	return func(_ *Snapshot, d *Decision) bool {
		found := false
		d.Actions = slices.Clone(d.Actions)
		for i, a := range d.Actions {
			if x, ok := a.(A); ok {
				d.Actions[i], found = change(x), true
			}
		}
		return found
	}
}

// uncompared drops the compares of the keys that end so from the commits whose What begins so; key "" drops all.
func uncompared(what, key string) func(*Snapshot, *Decision) bool {
	return mutateActions(func(c Commit) Action {
		if strings.HasPrefix(c.What, what) {
			c.Txn.If = slices.DeleteFunc(slices.Clone(c.Txn.If), func(x dcs.Compare) bool { return strings.HasSuffix(x.Key, key) })
		}
		return c
	})
}
