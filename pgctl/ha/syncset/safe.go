package syncset

import (
	"slices"
	"strings"

	"quorate/pgctl/postgres"
)

// holders is how many of voters hold each commit that was acknowledged under n: all when n lets none through. A name outside
// voters may have confirmed in place of a voter.
func holders(n Names, voters []string) int {
	if n.IsZero() {
		return 0
	}
	inside, outside := 0, 0
	for _, name := range n.Names {
		switch {
		case name == "*":
			return 0
		case name == Placeholder:
		case slices.Contains(voters, name):
			inside++
		default:
			outside++
		}
	}
	if n.Num > inside+outside {
		return len(voters) // more are asked for than there can be: every commit waits
	}
	return max(0, n.Num-outside)
}

// keeps says whether the commits that n lets through keep the promise of k.
func keeps(n Names, k Key) bool {
	return len(k.Voters)-holders(n, k.Voters) <= k.Quorum
}

// lacking is how many of k's voters may lack some commit that was acknowledged before the names now in effect: those that have
// not flushed up to Since, of whom the key that stands allows no more than its quorum among its own voters.
func (v *view) lacking(k Key) int {
	known, unknown := 0, 0
	for _, name := range k.Voters {
		switch {
		case v.caughtUp(name):
		case slices.Contains(v.Key.Voters, name):
			known++
		default:
			unknown++
		}
	}
	return unknown + min(known, v.Key.Quorum)
}

// caughtUp says whether a standby has every commit that was acknowledged before the names now in effect. One that is in these
// names must also have been taken in by its walsender: until then it shows async. Since is known here.
func (v *view) caughtUp(name string) bool {
	s, ok := v.standby(name)
	if !ok || !s.Streaming || v.clash(name) || s.FlushLSN < v.Since {
		return false
	}
	return !slices.Contains(v.InEffect.Names, name) || s.SyncState != "" && s.SyncState != "async"
}

// normalNames sorts the names and drops repetitions: in the lists that are planned here the order means nothing. A foreign list in
// which it does (FIRST 1 of several) is weaker than any of them, and counts as such either way.
func normalNames(n Names) Names {
	if n.IsZero() {
		return Names{}
	}
	if n.Method != postgres.SyncAny {
		n.Method = postgres.SyncFirst
	}
	return Names{Method: n.Method, Num: max(n.Num, 1), Names: set(n.Names)}
}

// equalNames compares two lists as they stand.
func equalNames(a, b Names) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() == b.IsZero()
	}
	return (a.Method == postgres.SyncAny) == (b.Method == postgres.SyncAny) && max(a.Num, 1) == max(b.Num, 1) && slices.Equal(a.Names, b.Names)
}

// sameNames compares two lists in normal form.
func sameNames(a, b Names) bool {
	return a.Method == b.Method && a.Num == b.Num && slices.Equal(a.Names, b.Names)
}

func normalKey(k Key) Key {
	voters := slices.DeleteFunc(set(k.Voters), func(n string) bool { return n == k.Leader })
	return Key{Leader: k.Leader, Quorum: max(k.Quorum, 0), Voters: voters}
}

func sameKey(a, b Key) bool {
	return a.Leader == b.Leader && a.Quorum == b.Quorum && slices.Equal(a.Voters, b.Voters)
}

// set returns the names in order, each once.
func set(names []string) []string {
	out := slices.Clone(names)
	slices.SortFunc(out, strings.Compare)
	return slices.Compact(out)
}

func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(n string) bool { return !slices.Contains(b, n) })
}
