package proxy

import (
	"testing"
	"time"

	"quorate/internal/boottime"
)

// fuzzedTable makes a table of whatever bytes there are: four for a backend.
func fuzzedTable(p []byte, term bool) *Table {
	t := &Table{ValidUntil: 1000}
	if term {
		t.Term = Term{Cluster: 1, Rev: 1}
	}
	roles := []Role{RolePrimary, RoleReplica, RoleStandbyLeader, "", "nonsense"}
	for ; len(p) >= 4; p = p[4:] {
		b := Backend{
			Role: roles[int(p[1])%len(roles)], Running: p[2]&1 != 0, Sync: p[2]&2 != 0, LagBytes: int64(p[3]) - 1,
			LagTime: time.Duration(int(p[3])-1) * time.Second, Tags: Tags{NoLoadBalance: p[2]&4 != 0},
		}
		if p[0] != 0 {
			b.Name = string(p[:1])
		}
		if p[2]&8 == 0 {
			b.Addr = "10.0.0.1:" + string('0'+p[0]%10)
		}
		if p[2]&16 != 0 {
			b.Tags.Custom = map[string]string{"reports": "true"}
		}
		t.Backends = append(t.Backends, b)
	}
	return t
}

// Whatever a table says: one that validates names at most one primary, and nobody is sent where the rule does not allow, least of all to a
// primary whose term has ended.
func FuzzTable(f *testing.F) {
	f.Add([]byte{'a', 0, 1, 0, 'b', 1, 3, 5}, true, int64(10), uint8(0))
	f.Add([]byte{'a', 0, 1, 0, 'b', 0, 1, 0}, true, int64(10), uint8(1))
	f.Add([]byte{'a', 0, 1, 0, 'b', 1, 1, 200}, true, int64(2000), uint8(2))
	f.Add([]byte{'a', 1, 21, 0, 0, 1, 9, 0}, false, int64(0), uint8(5))
	f.Fuzz(func(t *testing.T, p []byte, term bool, now int64, which uint8) {
		table := fuzzedTable(p, term)
		if table.Validate() != nil {
			return
		}
		primaries := 0
		for _, b := range table.Backends {
			if b.Role == RolePrimary {
				primaries++
			}
		}
		if primaries > 1 {
			t.Fatalf("%d primaries validate", primaries)
		}
		targets := []Target{TargetPrimary, TargetReplica, TargetSync, TargetAny, TargetPrimaryOrReplica, TargetTag}
		rule := Rule{Target: targets[int(which)%len(targets)], Tag: "reports", MaxLagBytes: 100}
		none := func(string) bool { return false }
		got, no := Pick(Query{
			Table: table, Now: boottime.Instant(now), StaleReads: 500, Rule: rule, Lagging: Laggards(table, rule, nil),
			Suspect: none, Full: none, Load: func(string) int { return 0 },
		})
		if no != "" {
			return
		}
		b := got.Backend
		switch expired := now >= 1000; {
		case !b.Running:
			t.Errorf("sent to %s, which does not run", b.Name)
		case !got.Term.IsZero() && (expired || !term):
			t.Errorf("sent to a primary without a term that holds: %+v", got)
		case b.Role == RolePrimary && got.Term.IsZero() && rule.Target == TargetPrimary:
			t.Errorf("sent to a primary under no term: %+v", got)
		case expired && now >= 1500:
			t.Errorf("sent to %s by a table that is too old for reads too", b.Name)
		case rule.Target == TargetReplica && b.Role == RolePrimary, rule.Target == TargetPrimary && b.Role != RolePrimary, rule.Target == TargetSync && !b.Sync:
			t.Errorf("%s leads to %+v", rule.Target, b)
		case b.Tags.NoLoadBalance && b.Role != RolePrimary:
			t.Errorf("sent to %s, which takes no load", b.Name)
		case rule.Target == TargetReplica && b.LagBytes > 100:
			t.Errorf("sent to %s, which is %d bytes behind", b.Name, b.LagBytes)
		}
	})
}
