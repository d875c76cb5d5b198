package sim

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"quorate/pgctl/ha"
)

var scan = flag.Int("sim.scan", 0, "look through that many schedules for the first that catches each seeded bug, to pin seeds anew")

// bug is a mistake that could be made in ha, seeded by wrapping Decide. A simulator that does not find it would not find the real one.
type bug struct {
	name string
	mode string
	want string // the invariants whose violation is the bug's own: "I1", or several as "I1 I3"
	seed uint64 // a schedule that caught it when this was written
	see  func(*ha.Snapshot)
	do   func(*ha.Snapshot, ha.Action) ha.Action // what becomes of an action; nil for leaving it out
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

// caught says which invariant a schedule finds violated with the bug, and the sentence.
func (b bug) caught(seed uint64) (invariant, what string) {
	opt := options(seed, b.mode)
	opt.Decide, opt.Trace = b.decide, false
	var v *Violation
	if !errors.As(Run(opt), &v) {
		return "", ""
	}
	what, _, _ = strings.Cut(v.What, "\n")
	invariant, _, _ = strings.Cut(what, ":")
	return invariant, what
}

func (b bug) wants(invariant string) bool {
	return invariant != "" && slices.Contains(strings.Fields(b.want), invariant)
}

// TestSeededBugs runs each bug on the schedule that is known to catch it, and on further ones, as a change of ha may have let the
// known one take another course. Only a violation of the bug's own invariant counts, and only where the schedule passes without
// the bug.
func TestSeededBugs(t *testing.T) {
	further := uint64(400)
	if testing.Short() {
		further = 60
	}
	for _, b := range bugs {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for i := range further {
				invariant, what := b.caught(b.seed + i)
				if !b.wants(invariant) || Run(options(b.seed+i, b.mode)) != nil {
					continue
				}
				t.Logf("seed %d: %s", b.seed+i, what)
				if i > 20 {
					t.Logf("%d schedules before it did not catch it: the seed should be pinned anew", i)
				}
				return
			}
			t.Errorf("%d schedules from seed %d did not catch it by %s", further, b.seed, b.want)
		})
	}
}

// TestPinBugs finds, with -sim.scan, the first schedule that catches each bug by its own invariant.
func TestPinBugs(t *testing.T) {
	if *scan == 0 {
		t.Skip("no -sim.scan")
	}
	for _, b := range bugs {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			others := map[string]int{}
			for seed := uint64(1); seed <= uint64(*scan); seed++ {
				invariant, what := b.caught(seed)
				if b.wants(invariant) && Run(options(seed, b.mode)) == nil {
					t.Logf("%s: seed %d: %s", b.name, seed, what)
					return
				}
				others[invariant]++
			}
			t.Logf("%s: never by %s; others: %v", b.name, b.want, others)
		})
	}
}
