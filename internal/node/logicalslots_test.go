package node

import (
	"slices"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// A copy is safe once the primary keeps its catalog rows and it has moved to where they are all there.
func TestCopyBecomesSafe(t *testing.T) {
	var c copies
	theirs := func(xmin uint32) []instance.RemoteSlot {
		return []instance.RemoteSlot{{Name: "cdc", CatalogXmin: xmin}}
	}
	own := func(xmin uint32) map[string]postgres.Slot {
		return map[string]postgres.Slot{"cdc": {CatalogXmin: xmin}}
	}
	c.made(theirs(700))
	for _, step := range []struct {
		what                   string
		theirs, feedback, mine uint32
		ready                  bool
	}{
		{"no feedback yet: vacuum may have taken rows up to 750", 750, 0, 700, false},
		{"feedback: what is newer than 750 is kept from now on", 750, 700, 700, false},
		{"moved, not far enough", 800, 700, 749, false},
		{"moved, but the feedback is not of this copy yet", 800, 760, 755, false},
		{"moved", 800, 755, 755, true},
	} {
		if got := len(c.look(theirs(step.theirs), step.feedback, own(step.mine))) == 1; got != step.ready {
			t.Fatalf("%s: %v", step.what, got)
		}
	}
	if open := c.open(); len(open) != 0 {
		t.Errorf("still open: %v", open)
	}
	c.made(theirs(1))
	if lost := c.forget(); !slices.Equal(lost, []string{"cdc"}) || len(c.open()) != 0 {
		t.Errorf("promoted with %v", lost)
	}
}

func TestXidsGoInACircle(t *testing.T) {
	if !xidBefore(4294967290, 5) || xidBefore(5, 4294967290) || xidBefore(7, 7) || !xidBefore(6, 7) {
		t.Error("wrong order")
	}
}
