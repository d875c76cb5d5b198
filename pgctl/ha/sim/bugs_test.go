package sim

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/pgctl/ha"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// bug is a mistake that could be made in ha, seeded by wrapping Decide. A simulator that does not find it would not find the real one.
type bug struct {
	name string
	mode string
	see  func(*ha.Snapshot)
	do   func(*ha.Snapshot, ha.Action) ha.Action // nil: leave the action out
}

func (b bug) decide(s ha.Snapshot) ha.Decision {
	if b.see != nil {
		b.see(&s)
	}
	d := ha.Decide(s)
	if b.do == nil {
		return d
	}
	kept := d.Actions[:0:0]
	for _, a := range d.Actions {
		if a = b.do(&s, a); a != nil {
			kept = append(kept, a)
		}
	}
	d.Actions = kept
	return d
}

// without drops the compares of a key from the commits whose What begins so.
func without(what, key string) func(*ha.Snapshot, ha.Action) ha.Action {
	return func(_ *ha.Snapshot, a ha.Action) ha.Action {
		c, ok := a.(ha.Commit)
		if !ok || !strings.HasPrefix(c.What, what) {
			return a
		}
		c.Txn.If = slices.DeleteFunc(slices.Clone(c.Txn.If), func(x dcs.Compare) bool { return strings.HasSuffix(x.Key, key) })
		return c
	}
}

// inCluster changes a copy of the cluster's view.
func inCluster(change func(*ha.Snapshot, *dcs.Cluster)) func(*ha.Snapshot) {
	return func(s *ha.Snapshot) {
		if s.Store.Cluster == nil {
			return
		}
		c := *s.Store.Cluster
		c.Members = slices.Clone(c.Members)
		change(s, &c)
		s.Store.Cluster = &c
	}
}

// inAnswers changes a copy of the peers' answers.
func inAnswers(change func(*ha.Snapshot, *ha.Answer)) func(*ha.Snapshot) {
	return func(s *ha.Snapshot) {
		s.Race.Answers = maps.Clone(s.Race.Answers)
		for n, a := range s.Race.Answers {
			change(s, &a)
			s.Race.Answers[n] = a
		}
	}
}

var bugs = []bug{
	{name: "a margin is removed", mode: "off", do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		if f, ok := a.(ha.ArmFence); ok {
			f.Deadline = f.Deadline.Add(500 * time.Millisecond)
			return f
		}
		return a
	}},
	{name: "the lease is counted from the answer", mode: "off", see: func(s *ha.Snapshot) {
		if s.Lease.ID != 0 {
			s.Lease.Deadline = s.Lease.Deadline.Add(1500 * time.Millisecond)
		}
	}},
	{name: "the lead is taken although somebody has it", mode: "off", do: without(ha.AcquireLead, "/leader")},
	{name: "a stale primary writes the sync key", mode: "on", do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		c, ok := a.(ha.Commit)
		if ok && strings.HasPrefix(c.What, "synchronous") {
			c.Txn.If = nil
			return c
		}
		return a
	}},
	{name: "the sync key is not asked", mode: "on", see: inCluster(func(s *ha.Snapshot, c *dcs.Cluster) {
		if c.Leader == nil {
			c.Sync = dcs.Sync{}
		}
	})},
	{name: "the lead is taken on an old sync key", mode: "quorum", see: inAnswers(func(_ *ha.Snapshot, a *ha.Answer) {
		a.Timeline, a.FlushLSN, a.ReplayLSN = 0, 0, 0
	})},
	{name: "a primary opens before its synchronous names are in effect", mode: "on", do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		if p, ok := a.(ha.Promote); ok {
			p.Names = postgres.SyncNames{}
			return p
		}
		return a
	}},
	{name: "the lead is released before PostgreSQL has stopped", mode: "off", see: func(s *ha.Snapshot) {
		if c := s.Store.Cluster; c != nil && c.Leader != nil && s.Mem.Handover.Term == c.Leader.Term && s.Mem.Handover.To != "" {
			s.PG.Phase = ha.Stopped
			s.Busy[ha.LanePG] = false
		}
	}},
	{name: "a leader key that was deleted by hand counts as an ended lease", mode: "off", see: inCluster(func(_ *ha.Snapshot, c *dcs.Cluster) {
		for i := range c.Members {
			c.Members[i].Role = "replica"
		}
	}), do: nil},
	{name: "a diverged folder is not noticed", mode: "off", see: func(s *ha.Snapshot) { s.PG.Checked.Diverged = false }},
	{name: "an ended term is not noticed", mode: "off", do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		if r, ok := a.(ha.RenewLease); ok {
			return r
		}
		if _, ok := a.(ha.FenceNow); ok {
			return nil
		}
		return a
	}},
	{name: "a candidate that is behind goes ahead", mode: "quorum", see: inAnswers(func(_ *ha.Snapshot, a *ha.Answer) {
		a.FlushLSN, a.ReplayLSN = a.FlushLSN/2, a.ReplayLSN/2
	})},
	{name: "nobody pledges", mode: "on", see: func(s *ha.Snapshot) {
		s.PG.Pledged = dcs.Term{Cluster: clusterID, Rev: 1 << 40}
		for n, a := range s.Race.Answers {
			a.Pledged = s.Race.Target
			s.Race.Answers[n] = a
		}
	}, do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		if p, ok := a.(ha.AskPeers); ok {
			p.Target.Rev = 0
			return p
		}
		return a
	}},
}

// TestSeededBugs runs each bug until a schedule catches it.
func TestSeededBugs(t *testing.T) {
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 600; seed++ {
				opt := options(seed, b.mode)
				opt.Decide, opt.Trace = b.decide, false
				if err := Run(opt); err != nil {
					what, _, _ := strings.Cut(err.Error(), "\n")
					t.Logf("caught: %s", what)
					return
				}
			}
			t.Error("600 schedules did not catch it")
		})
	}
}
