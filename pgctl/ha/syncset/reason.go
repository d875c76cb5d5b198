package syncset

import (
	"fmt"
	"slices"
	"strings"
)

// describe is the sentence for a plan that has been reached.
func (v *view) describe(t target) string {
	switch {
	case len(t.key.Voters) > 0 && v.Mode == Quorum:
		return fmt.Sprintf("%d of %s confirm commits", t.names.Num, strings.Join(t.key.Voters, ", "))
	case len(t.key.Voters) > 0:
		return "synchronous: " + strings.Join(t.key.Voters, ", ")
	case v.Strict:
		return "no standby can be synchronous, and synchronous_mode_strict is set: commits wait"
	}
	return "no standby can be synchronous: commits do not wait"
}

func (v *view) whyNames(t target) string {
	add, gone := minus(t.names.Names, v.InEffect.Names), minus(v.InEffect.Names, t.names.Names)
	switch {
	case t.names.IsZero():
		return "no standby can be synchronous: commits do not wait any more"
	case len(t.key.Voters) == 0:
		return "no standby can be synchronous, and synchronous_mode_strict is set: commits wait"
	case len(add) > 0 && len(gone) > 0:
		return fmt.Sprintf("%s confirm commits in place of %s", strings.Join(add, ", "), strings.Join(gone, ", "))
	case len(add) > 0:
		return "commits wait for " + strings.Join(add, ", ") + " too"
	case len(gone) > 0:
		return "commits do not wait any more for " + strings.Join(gone, ", ")
	}
	return fmt.Sprintf("commits wait for %d of %s", t.names.Num, strings.Join(t.names.Names, ", "))
}

func (v *view) whyKey(t target) string {
	add, gone := minus(t.key.Voters, v.Key.Voters), minus(v.Key.Voters, t.key.Voters)
	switch {
	case !v.KeyExists && len(t.key.Voters) == 0:
		return "synchronous_mode is on and nobody is synchronous yet: only the leader may be promoted"
	case len(add) > 0 && len(gone) > 0:
		return fmt.Sprintf("%s may be promoted from now on, %s no longer", strings.Join(add, ", "), strings.Join(gone, ", "))
	case len(add) > 0:
		return strings.Join(add, ", ") + " may be promoted from now on"
	case len(gone) > 0:
		return strings.Join(gone, ", ") + " may not be promoted any more"
	}
	return fmt.Sprintf("a promotion takes the votes of %d of %s", t.key.Quorum+1, strings.Join(t.key.Voters, ", "))
}

// late are the voters of k that have not caught up.
func (v *view) late(k Key) []string {
	var out []string
	for _, n := range k.Voters {
		if !v.caughtUp(n) {
			out = append(out, n)
		}
	}
	return out
}

func minus(a, b []string) []string {
	var out []string
	for _, n := range a {
		if !slices.Contains(b, n) {
			out = append(out, n)
		}
	}
	return out
}
