package node

import (
	"testing"

	"quorate/pgctl/ha"
	"quorate/proxy"
	"quorate/raftstore/dcs"
)

// tableOf is the routing table of a host that knows a cluster of two.
func tableOf(change func(*view)) proxy.Table {
	term := dcs.Term{Cluster: 7, Rev: 10}
	v := &view{
		own: true, ttl: 3e9, seenAt: 100,
		cluster: &dcs.Cluster{
			ClusterID: 7, Initialize: "1", Leader: &dcs.Leader{Name: "a", Lease: 1, Term: term},
			Members: []dcs.Member{
				{Name: "a", ConnURL: "postgres://10.0.0.1:5432/postgres", State: "running", Role: "primary", XLogLocation: 1000},
				{Name: "b", ConnURL: "postgres://10.0.0.2/postgres", State: "running", Role: "replica", ReplayLSN: 900},
			},
		},
		snap: ha.Snapshot{
			Self: ha.Self{Name: "a"}, Lease: ha.Lease{ID: 1, Deadline: 2e9}, PG: ha.PG{Phase: ha.Running}, Fence: ha.Fence{Term: term},
		},
	}
	change(v)
	return routingTable(v)
}

func TestRoutingTable(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*view)
		term     bool
		accepts  bool // the primary takes sessions
		validity int64
	}{
		{"this host leads and is open", func(*view) {}, true, true, 2e9},
		{"the lead is being handed over: the term stands, clients wait", func(v *view) { v.hold = true }, true, false, 2e9},
		{"the cluster is still being made", func(v *view) { v.cluster.Initialize = "" }, true, false, 2e9},
		{"PostgreSQL is down", func(v *view) { v.snap.PG.Phase = ha.Stopped }, true, false, 2e9},
		{"the fence has fired", func(v *view) { v.snap.Fence.Fired = v.snap.Fence.Term }, true, false, 2e9},
		{"the key is bound to another lease", func(v *view) { v.cluster.Leader.Lease = 2 }, true, false, 2e9},
		{"another host leads and is open", func(v *view) { v.snap.Self.Name = "b" }, true, true, 3e9 + 100},
		{"another host leads and has not opened", func(v *view) { v.snap.Self.Name = "b"; v.cluster.Members[0].Role = "replica" }, true, false, 3e9 + 100},
		{"nobody leads", func(v *view) { v.cluster.Leader = nil }, false, false, 3e9 + 100},
	} {
		got := tableOf(c.change)
		primary, ok := got.Primary()
		if !got.Term.IsZero() != c.term || (ok && primary.Running) != c.accepts || int64(got.ValidUntil) != c.validity {
			t.Errorf("%s: term %s, primary %+v (%v), valid until %d", c.name, got.Term, primary, ok, got.ValidUntil)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, b := range got.Backends {
			if b.Name == "b" && (b.Addr != "10.0.0.2:5432" || c.term && b.LagBytes != 100) {
				t.Errorf("%s: replica %+v", c.name, b)
			}
		}
	}
}
