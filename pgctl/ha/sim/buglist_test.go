package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// bugs are grouped by what they break: times, the lead, synchronous replication, the data, maintenance.
var bugs = slices.Concat(timeBugs, leadBugs, syncBugs, dataBugs, pauseBugs)

var timeBugs = []bug{
	{name: "the fence is told a deadline after the lease's end", mode: "off", want: "I1", seed: 3, do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		if f, ok := a.(ha.ArmFence); ok {
			f.Deadline = f.Deadline.Add(1500 * time.Millisecond)
			return f
		}
		return a
	}},
	{name: "the lease is counted from the answer", mode: "off", want: "I1", seed: 4, see: func(s *ha.Snapshot) {
		if s.Lease.ID != 0 {
			s.Lease.Deadline = s.Lease.Deadline.Add(1500 * time.Millisecond)
		}
	}},
	{name: "the fence is not told of later deadlines", mode: "off", want: "I7 I5", seed: 17, do: func(s *ha.Snapshot, a ha.Action) ha.Action {
		if f, ok := a.(ha.ArmFence); ok && f.Term == s.Fence.Term {
			return nil
		}
		return a
	}},
	{name: "promotion does not wait for the fence", mode: "off", want: "I7 I2", seed: 1, see: func(s *ha.Snapshot) {
		if c := s.Store.Cluster; c != nil && c.Leader != nil && c.Leader.Name == s.Self.Name {
			s.Fence.Term, s.Fence.Deadline = c.Leader.Term, s.Now.Add(time.Hour)
		}
	}},
}

var leadBugs = []bug{
	{name: "the lead is taken although somebody has it", mode: "off", want: "I9", seed: 2, do: func(s *ha.Snapshot, a ha.Action) ha.Action {
		return without(ha.AcquireLead, "/status")(s, without(ha.AcquireLead, "/leader")(s, a)) // either guards alone
	}},
	{name: "a lead is released that is another's by now", mode: "off", want: "I9", seed: 2, do: without("release the lead", "/leader")},
	{name: "a former process's key is released although it is another's by now", mode: "off", want: "I9", seed: 23, do: without("release a leader key", "/leader")},
	{name: "the lead is released before PostgreSQL has stopped", mode: "off", want: "I1", seed: 2, see: func(s *ha.Snapshot) {
		if c := s.Store.Cluster; c != nil && c.Leader != nil && s.Mem.Handover.Term == c.Leader.Term && s.Mem.Handover.To != "" {
			s.PG.Phase, s.Busy = ha.Stopped, maps.Clone(s.Busy)
			s.Busy[ha.LanePG] = false
		}
	}},
	{name: "the last leader's position does not count", mode: "off", want: "lag", seed: 14, see: inCluster(func(s *ha.Snapshot, c *dcs.Cluster) {
		s.Race.Answers, c.Status.Optime = nil, 0
	})},
	{name: "who has promised a primary without the store to take no lead takes it", mode: "off", want: "I1", seed: 3, see: func(s *ha.Snapshot) {
		s.Promise = ha.Promise{}
	}},
	{name: "what the members allow is counted from their answers", mode: "off", want: "I1", seed: 24, see: func(s *ha.Snapshot) {
		s.Failsafe.Sent = s.Failsafe.Sent.Add(time.Second)
	}},
	{name: "one member that does not answer does not matter", mode: "off", want: "I1", seed: 105, see: func(s *ha.Snapshot) {
		s.Failsafe.All = s.Failsafe.Term.Rev != 0
	}},
	{name: "the tail of a crashed primary's log is not read to its end", mode: "off", want: "handover", seed: 9, see: func(s *ha.Snapshot) {
		s.PG.Tail.Durable /= 2
	}},
	{name: "the answers of a race are turned round", mode: "off", want: "lag", seed: 14, see: func(s *ha.Snapshot) {
		s.Set.MaximumLagOnFailover = 1 << 40
		s.Race.Answers = maps.Clone(s.Race.Answers)
		for n, a := range s.Race.Answers {
			a.Timeline = 2*s.PG.Timeline - a.Timeline
			a.FlushLSN, a.ReplayLSN = 2*s.PG.FlushLSN-min(a.FlushLSN, 2*s.PG.FlushLSN), 0
			s.Race.Answers[n] = a
		}
	}},
}

var syncBugs = []bug{
	{name: "the sync key is not asked", mode: "on", want: "I3", seed: 2, see: func(s *ha.Snapshot) {
		if s.Store.Cluster.LeaderName() == "" {
			s.Set.SynchronousMode = dynamic.SyncOff
		}
	}},
	{name: "the positions of the others are not compared", mode: "quorum", want: "I3", seed: 8, see: inAnswers(func(_ *ha.Snapshot, a *candidate.Member) {
		a.Timeline, a.Switches, a.FlushLSN, a.ReplayLSN = 1, nil, 0, 0
	})},
	{name: "a candidate that is behind goes ahead", mode: "quorum", want: "I3", seed: 8, see: inAnswers(func(_ *ha.Snapshot, a *candidate.Member) {
		a.FlushLSN, a.ReplayLSN = a.FlushLSN/2, a.ReplayLSN/2
	})},
	{name: "a primary opens before its synchronous names are in effect", mode: "on", want: "I3", seed: 20, do: func(_ *ha.Snapshot, a ha.Action) ha.Action {
		if p, ok := a.(ha.Promote); ok {
			p.Names = postgres.SyncNames{}
			return p
		}
		return a
	}},
	{name: "names are emptied before the key says so", mode: "on", want: "I3", seed: 50, do: func(s *ha.Snapshot, a ha.Action) ha.Action {
		if _, ok := a.(ha.SetNames); ok && len(s.Store.Cluster.Sync.Standbys) > 0 {
			return ha.SetNames{}
		}
		return a
	}},
}

var dataBugs = []bug{
	{name: "a diverged folder is not noticed", mode: "off", want: "I7", seed: 3, see: func(s *ha.Snapshot) { s.PG.Checked.Diverged = false }},
}

var pauseBugs = []bug{
	{name: "a pause holds nothing back", mode: "off", want: "I4", seed: 11, see: func(s *ha.Snapshot) { s.Set.Pause = false }},
	{name: "a primary without a fence is not heeded", mode: "off", want: "I1", seed: 83, see: inCluster(func(s *ha.Snapshot, c *dcs.Cluster) {
		if c.Unfenced != nil && c.Unfenced.Node != s.Self.Name {
			c.Unfenced = nil
		}
	}), do: without(ha.AcquireLead, "/unfenced")},
	{name: "a fence is dropped without a record of it", mode: "off", want: "I2", seed: 11, see: inCluster(func(s *ha.Snapshot, c *dcs.Cluster) {
		if s.Set.Pause && c.Leader != nil && c.Leader.Name == s.Self.Name {
			c.Unfenced = &dcs.Unfenced{Node: s.Self.Name, Term: c.Leader.Term}
		}
	})},
}

// without drops the compares of the keys that end so from the commits whose What begins so; key "" drops all.
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
func inAnswers(change func(*ha.Snapshot, *candidate.Member)) func(*ha.Snapshot) {
	return func(s *ha.Snapshot) {
		s.Race.Answers = maps.Clone(s.Race.Answers)
		for n, a := range s.Race.Answers {
			change(s, &a)
			s.Race.Answers[n] = a
		}
	}
}
