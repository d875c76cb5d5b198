package proxy

import (
	"testing"
	"time"

	"quorate/internal/boottime"
)

const pickNow = boottime.Instant(1000 * time.Second)

func pickTable() *Table {
	return &Table{
		Term: Term{1, 1}, ValidUntil: pickNow.Add(time.Second),
		Backends: []Backend{
			{Name: "p", Role: RolePrimary, Running: true},
			{Name: "r1", Role: RoleReplica, Running: true, Sync: true, Zone: "east"},
			{Name: "r2", Role: RoleReplica, Running: true, LagBytes: 500, LagTime: 5 * time.Second, Zone: "west", Tags: Tags{Custom: map[string]string{"use": "reports"}}},
			{Name: "r3", Role: RoleReplica, Running: false},
			{Name: "r4", Role: RoleReplica, Running: true, Tags: Tags{NoLoadBalance: true, Custom: map[string]string{"use": "reports"}}},
		},
	}
}

func pickQuery(t *Table, rule Rule) Query {
	none := func(string) bool { return false }
	return Query{
		Table: t, Now: pickNow, StaleReads: time.Minute, Rule: rule,
		Suspect: none, Full: none, Load: func(string) int { return 0 },
	}
}

// spread asks as often as there are turns and returns everybody who was chosen.
func spread(q Query) (names string, no Refusal) {
	seen := map[string]bool{}
	for q.Turn = range 12 {
		c, why := Pick(q)
		if why != "" {
			return "", why
		}
		seen[c.Backend.Name] = true
	}
	for _, b := range q.Table.Backends {
		if seen[b.Name] {
			names += " " + b.Name
		}
	}
	return names, ""
}

func TestPick(t *testing.T) {
	only := func(names ...string) func(string) bool {
		return func(n string) bool {
			for _, x := range names {
				if x == n {
					return true
				}
			}
			return false
		}
	}
	for name, c := range map[string]struct {
		rule   Rule
		change func(*Query)
		want   string
		no     Refusal
	}{
		"primary":                         {rule: Rule{Target: TargetPrimary}, want: " p"},
		"replica":                         {rule: Rule{Target: TargetReplica}, want: " r1 r2"},
		"replica, round robin":            {rule: Rule{Target: TargetReplica, Balance: BalanceRound}, want: " r1 r2"},
		"sync":                            {rule: Rule{Target: TargetSync}, want: " r1"},
		"any":                             {rule: Rule{Target: TargetAny}, want: " p r1 r2"},
		"tag with value":                  {rule: Rule{Target: TargetTag, Tag: "use=reports"}, want: " r2"},
		"tag":                             {rule: Rule{Target: TargetTag, Tag: "use"}, want: " r2"},
		"tag of nobody":                   {rule: Rule{Target: TargetTag, Tag: "use=x"}, no: RefusalNoReplica},
		"nearest":                         {rule: Rule{Target: TargetReplica, Balance: BalanceNearest}, change: func(q *Query) { q.Zone = "west" }, want: " r2"},
		"nearest, nobody is near":         {rule: Rule{Target: TargetReplica, Balance: BalanceNearest}, change: func(q *Query) { q.Zone = "north" }, want: " r1 r2"},
		"least connections":               {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Load = func(n string) int { return map[string]int{"r1": 2, "r2": 1}[n] } }, want: " r2"},
		"lagging":                         {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Lagging = map[string]bool{"r2": true} }, want: " r1"},
		"suspect":                         {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Suspect = only("r1") }, want: " r2"},
		"all suspect":                     {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Suspect = only("r1", "r2") }, no: RefusalSuspect},
		"all full":                        {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Full = only("r1", "r2") }, no: RefusalLimit},
		"fallback":                        {rule: Rule{Target: TargetReplica, FallbackToPrimary: true}, change: func(q *Query) { q.Suspect = only("r1", "r2") }, want: " p"},
		"no fallback while one serves":    {rule: Rule{Target: TargetReplica, FallbackToPrimary: true}, want: " r1 r2"},
		"primary or replica":              {rule: Rule{Target: TargetPrimaryOrReplica}, want: " p"},
		"primary or replica, no primary":  {rule: Rule{Target: TargetPrimaryOrReplica}, change: func(q *Query) { q.Table.Term = Term{} }, want: " r1 r2"},
		"primary without a term":          {rule: Rule{Target: TargetPrimary}, change: func(q *Query) { q.Table.Term = Term{} }, no: RefusalNoPrimary},
		"primary not running":             {rule: Rule{Target: TargetPrimary}, change: func(q *Query) { q.Table.Backends[0].Running = false }, no: RefusalNoPrimary},
		"primary suspect":                 {rule: Rule{Target: TargetPrimary}, change: func(q *Query) { q.Suspect = only("p") }, no: RefusalSuspect},
		"no table":                        {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Table = nil }, no: RefusalNoTable},
		"expired at the instant":          {rule: Rule{Target: TargetPrimary}, change: func(q *Query) { q.Now = q.Table.ValidUntil }, no: RefusalExpired},
		"expired: any leaves primary out": {rule: Rule{Target: TargetAny}, change: func(q *Query) { q.Now = q.Table.ValidUntil }, want: " r1 r2"},
		"expired: no fallback":            {rule: Rule{Target: TargetSync, FallbackToPrimary: true}, change: func(q *Query) { q.Now = q.Table.ValidUntil; q.Suspect = only("r1") }, no: RefusalSuspect},
		"expired: replicas for a while":   {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Now = q.Table.ValidUntil.Add(time.Minute) }, want: " r1 r2"},
		"expired: and not for ever":       {rule: Rule{Target: TargetReplica}, change: func(q *Query) { q.Now = q.Table.ValidUntil.Add(time.Minute + 1) }, no: RefusalExpired},
	} {
		t.Run(name, func(t *testing.T) {
			q := pickQuery(pickTable(), c.rule)
			if c.change != nil {
				c.change(&q)
			}
			if got, no := spread(q); got != c.want || no != c.no {
				t.Fatalf("chose%s, refusal %q; want%s, %q", got, no, c.want, c.no)
			}
		})
	}
}

// Whatever is asked: a primary is chosen only with the term of a table that holds, and never a backend that is not running.
func TestPickExhaustive(t *testing.T) {
	targets := []Target{TargetPrimary, TargetReplica, TargetSync, TargetAny, TargetPrimaryOrReplica, TargetTag}
	for _, target := range targets {
		for bits := range 1 << 6 {
			table := pickTable()
			rule := Rule{Target: target, Tag: "use", FallbackToPrimary: bits&1 != 0}
			q := pickQuery(table, rule)
			if bits&2 != 0 {
				q.Now = table.ValidUntil.Add(time.Second)
			}
			if bits&4 != 0 {
				table.Term = Term{}
			}
			table.Backends[0].Running = bits&8 != 0
			table.Backends[1].Running = bits&16 != 0
			table.Backends[2].Running = bits&32 != 0
			for q.Turn = range 4 {
				c, no := Pick(q)
				if no != "" {
					continue
				}
				if !c.Backend.Running {
					t.Fatalf("%s %06b: chose %s, which does not run", target, bits, c.Backend.Name)
				}
				if primary := c.Backend.Role == RolePrimary; primary != (c.Term == Term{1, 1}) || primary && bits&6 != 0 {
					t.Fatalf("%s %06b: chose %s with term %v", target, bits, c.Backend.Name, c.Term)
				}
			}
		}
	}
}

func TestLaggardsHaveHysteresis(t *testing.T) {
	rule := Rule{Target: TargetReplica, MaxLagBytes: 100, MaxLagTime: time.Second}
	var out map[string]bool
	for i, step := range []struct {
		bytes int64
		age   time.Duration
		out   bool
	}{
		{100, 0, false}, {101, 0, true}, {81, 0, true}, {80, 0, false}, {81, 0, false},
		{0, time.Second + 1, true}, {0, 801 * time.Millisecond, true}, {0, 800 * time.Millisecond, false},
		{-1, 0, true}, {0, -1, true}, {0, 0, false},
	} {
		table := &Table{Backends: []Backend{{Name: "r", Role: RoleReplica, LagBytes: step.bytes, LagTime: step.age}, {Name: "p", Role: RolePrimary, LagBytes: -1}}}
		out = Laggards(table, rule, out)
		if out["r"] != step.out || out["p"] {
			t.Fatalf("step %d (%d bytes, %s): out %v, want %v", i, step.bytes, step.age, out, step.out)
		}
	}
}

func TestTableValidate(t *testing.T) {
	good := Backend{Name: "a", Addr: "h:1", Role: RolePrimary}
	for name, b := range map[string][]Backend{
		"no name": {{Addr: "h:1"}}, "no address": {{Name: "a"}}, "same name": {good, {Name: "a", Addr: "h:2"}},
		"two primaries": {good, {Name: "b", Addr: "h:2", Role: RolePrimary}},
	} {
		if err := (&Table{Backends: b}).Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (&Table{Backends: []Backend{good}}).Validate(); err != nil {
		t.Error(err)
	}
}

// With the balance "source" a client stays where it is when another backend comes or goes, and clients spread.
func TestBalanceSource(t *testing.T) {
	table := &Table{Term: Term{1, 1}, ValidUntil: pickNow.Add(time.Second)}
	for _, n := range []string{"node1", "node2", "node3"} {
		table.Backends = append(table.Backends, Backend{Name: n, Role: RoleReplica, Running: true})
	}
	q := pickQuery(table, Rule{Target: TargetReplica, Balance: BalanceSource})
	where, clients := map[string]int{}, 3000
	for client := range clients {
		q.Turn = uint64(client) * 0x100000001b3
		all, _ := Pick(q)
		where[all.Backend.Name]++
		q.Suspect = func(n string) bool { return n == "node2" }
		fewer, _ := Pick(q)
		q.Suspect = func(string) bool { return false }
		if all.Backend.Name != "node2" && fewer.Backend.Name != all.Backend.Name {
			t.Fatalf("client %d moved from %s to %s when node2 went", client, all.Backend.Name, fewer.Backend.Name)
		}
	}
	for n, c := range where {
		if c < clients/5 || c > clients/2 {
			t.Errorf("%d of %d clients are on %s", c, clients, n)
		}
	}
}
