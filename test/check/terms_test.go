package check

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"quorate/internal/boottime"
)

// ack is an acknowledged commit; servers differ by name, and their postmasters by start.
func ack(node string, timeline uint32, start, end int) Op {
	return Op{
		ID: fmt.Sprintf("%s/%d/%d-%d", node, timeline, start, end), Outcome: Acked,
		Start: boottime.Instant(start), End: boottime.Instant(end),
		Server: Server{SystemID: "1", Timeline: timeline, Node: node, Started: int64(len(node)) + int64(node[0])},
	}
}

func with(op Op, change func(*Op)) Op {
	change(&op)
	return op
}

func TestCheckTerms(t *testing.T) {
	restarted := func(op Op) Op { return with(op, func(o *Op) { o.Server.Started += 1000 }) }
	for _, tc := range []struct {
		name string
		ops  []Op
		want []string
	}{
		{"nothing", nil, nil},
		{"one term", []Op{ack("a", 1, 1, 2), ack("a", 1, 3, 4)}, nil},
		{"failover", []Op{ack("a", 1, 1, 2), ack("b", 2, 3, 4), ack("b", 2, 5, 6)}, nil},
		{"in flight over the failover", []Op{ack("a", 1, 1, 2), ack("a", 1, 2, 9), ack("b", 2, 5, 6)}, nil},
		{"began before, ended after", []Op{ack("a", 1, 1, 9), ack("b", 2, 2, 8)}, nil},
		{"there and back", []Op{ack("a", 1, 1, 2), ack("b", 2, 3, 4), ack("a", 3, 5, 6)}, nil},
		{"restart in place", []Op{ack("a", 1, 1, 2), restarted(ack("a", 1, 3, 4))}, nil},
		{"failures prove nothing", []Op{ack("a", 1, 1, 2), ack("b", 2, 3, 4), with(ack("a", 1, 5, 6), func(o *Op) { o.Outcome = Unknown })}, nil},
		{"a local socket knows no address", []Op{with(ack("a", 1, 1, 2), func(o *Op) { o.Server.Node = "" }), ack("a", 1, 3, 4)}, nil},

		{"split brain", []Op{ack("a", 1, 1, 2), ack("b", 2, 3, 4), ack("a", 1, 5, 6)}, []string{RuleAtOnce}},
		{"split brain in any order of the record", []Op{ack("a", 1, 5, 6), ack("b", 2, 3, 4), ack("a", 1, 1, 2)}, []string{RuleAtOnce}},
		{"two old primaries", []Op{ack("a", 1, 1, 2), ack("b", 2, 3, 4), ack("c", 3, 5, 6), ack("a", 1, 7, 8)}, []string{RuleAtOnce, RuleAtOnce}},
		{"within one long reign", []Op{ack("a", 1, 1, 2), ack("b", 2, 4, 5), ack("a", 1, 8, 9)}, []string{RuleAtOnce}},
		{"two instances of one node", []Op{ack("a", 1, 1, 2), restarted(ack("a", 1, 3, 4)), ack("a", 1, 5, 6)}, []string{RuleAtOnce}},
		{"local sockets only", []Op{
			with(ack("a", 1, 1, 2), func(o *Op) { o.Server.Node = "" }), with(ack("b", 2, 3, 4), func(o *Op) { o.Server.Node = "" }),
			with(ack("a", 1, 5, 6), func(o *Op) { o.Server.Node = "" }),
		}, []string{RuleAtOnce}},
		{"back to an older timeline", []Op{ack("b", 2, 1, 2), ack("a", 1, 3, 4)}, []string{RuleBackward}},
		{"one timeline of two nodes", []Op{ack("a", 2, 1, 2), ack("b", 2, 3, 4)}, []string{RuleShared}},
		{"another database", []Op{ack("a", 1, 1, 2), with(ack("b", 2, 3, 4), func(o *Op) { o.Server.SystemID = "2" })}, []string{RuleSystems}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, v := range CheckTerms(tc.ops) {
				got = append(got, v.Rule)
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("violations %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOverlapIsWhatIsCertain(t *testing.T) {
	bad := CheckTerms([]Op{ack("a", 1, 0, 10), ack("b", 2, 20, 30), ack("a", 1, 70, 80), ack("b", 2, 90, 95)})
	if len(bad) != 1 || bad[0].Overlap != 40 {
		t.Errorf("violations %v, want one of 40 ns", bad)
	}
}

// TestTermsTwin compares with a search: is there any order of the terms in which each commit can be placed inside its attempt?
func TestTermsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Op {
			start := rapid.IntRange(0, 12).Draw(t, "start")
			end := start + rapid.IntRange(0, 6).Draw(t, "length")
			return ack(string(rune('a'+rapid.IntRange(0, 2).Draw(t, "node"))), 1, start, end)
		}), 0, 7).Draw(t, "ops")
		atOnce := false
		for _, v := range CheckTerms(ops) {
			atOnce = atOnce || v.Rule == RuleAtOnce
		}
		if possible := orderable(ops); possible == atOnce {
			t.Fatalf("terms at once: %v; can be put in order: %v", atOnce, possible)
		}
	})
}

func orderable(ops []Op) bool {
	for _, order := range []string{"abc", "acb", "bac", "bca", "cab", "cba"} {
		if fits(ops, order) {
			return true
		}
	}
	return false
}

// fits places each term's commits as early as it can, one term after the other.
func fits(ops []Op, order string) bool {
	var now boottime.Instant
	for _, node := range order {
		latest := now
		for _, op := range ops {
			if op.Server.Node != string(node) {
				continue
			}
			at := max(op.Start, now)
			if at > op.End {
				return false
			}
			latest = max(latest, at)
		}
		now = latest
	}
	return true
}
