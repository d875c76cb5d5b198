package ha

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"quorate/raftstore/dcs"
)

// TestScripts runs the files of testdata: one for each table of Patroni's loop, and those of our own rules. A case is
//
//	decide primary               what node a sees; then a line for each thing that differs
//	pg stopped crashes=1
//	----
//	start as primary             the actions in order, with the compares and writes of a commit
//	recovering: starting …       the reason
//	wake 1s
//
// The situations to start from: primary (a leads, b and c stream from it), standby (b leads, a and c stream from it),
// unlocked (b led, its lease has ended, a and c are standbys), empty (three hosts, no cluster yet), nothing (the store was never
// read). The lines are in lines of scriptLines; 1 term is a revision, a position is decimal, times are Go durations.
//
// After a change of the rules: go test ./pgctl/ha -run TestScripts -rewrite, and read every line of the diff.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "decide" || len(d.CmdArgs) != 1 {
				d.Fatalf(t, "the command is: decide SITUATION")
			}
			s := situation(t, d, d.CmdArgs[0].Key)
			for line := range strings.Lines(d.Input) {
				apply(t, d, &s, strings.TrimSpace(line))
			}
			s.finish()
			out := Decide(s.Snapshot)
			for _, fault := range check(&s.Snapshot, &out) {
				t.Errorf("%s: %s", d.Pos, fault)
			}
			return render(&s, &out)
		})
	})
}

func render(s *script, d *Decision) string {
	var b strings.Builder
	for _, a := range d.Actions {
		c, ok := a.(Commit)
		if !ok {
			fmt.Fprintln(&b, renderAction(s, a))
			continue
		}
		fmt.Fprintln(&b, "commit:", c.What)
		if c.In == LaneMember && !s.shown {
			continue
		}
		for _, x := range c.Txn.If {
			fmt.Fprintln(&b, "  if", renderCompare(s.Keys, x))
		}
		for _, op := range c.Txn.Then {
			fmt.Fprintln(&b, "  "+renderOp(s, op))
		}
	}
	if d.Mem.TakeoverNames.String() != s.Mem.TakeoverNames.String() {
		fmt.Fprintf(&b, "it will open with synchronous_standby_names = '%s'\n", d.Mem.TakeoverNames)
	}
	if d.Hold {
		fmt.Fprintln(&b, "clients are held")
	}
	fmt.Fprintf(&b, "%s: %s\n", d.Reason.Code, d.Reason.Text)
	fmt.Fprintf(&b, "wake %s\n", d.Wake.Sub(s.Now).Round(time.Millisecond))
	return b.String()
}

// renderAction adds to an action's own words what they leave out.
func renderAction(s *script, a Action) string {
	switch a := a.(type) {
	case ArmFence:
		return fmt.Sprintf("%s, until %s from now", a, a.Deadline.Sub(s.Now))
	case Clone:
		if a.Aside {
			return a.String() + ", the old folder is kept aside"
		}
	case Promote:
		if !a.Names.IsZero() {
			return fmt.Sprintf("%s, synchronous_standby_names = '%s'", a, a.Names)
		}
	case AskPeers:
		return fmt.Sprintf("%s: %v", a, slices.Sorted(maps.Keys(a.From)))
	}
	return a.String()
}

func short(k dcs.Keys, key string) string { return strings.TrimPrefix(key, k.Prefix()) }

func renderCompare(k dcs.Keys, c dcs.Compare) string {
	key := short(k, c.Key)
	switch {
	case c.Target == dcs.Value:
		return fmt.Sprintf("%s is %q", key, c.Value)
	case c.Rev == 0:
		return key + " is absent"
	case c.Target == dcs.Create:
		return fmt.Sprintf("%s was made in %d", key, c.Rev)
	}
	return fmt.Sprintf("%s is unchanged since %d", key, c.Rev)
}

func renderOp(s *script, op dcs.Op) string {
	if op.Delete {
		return "delete " + short(s.Keys, op.Key)
	}
	out := fmt.Sprintf("put %s %s", short(s.Keys, op.Key), op.Value)
	if op.Lease != 0 {
		out += fmt.Sprintf(" under lease %d", op.Lease)
	}
	return out
}
