package syncset

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"quorate/pgctl/postgres"
)

// TestNextIsTotal gives Next states that no sane cluster shows: foreign names and keys, the same name twice, nonsense numbers. It
// answers, gives a reason, and whatever it does is safe next to what is there.
func TestNextIsTotal(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b", "B", "c", "d", "x", "*", Placeholder})
	names := rapid.Custom(func(t *rapid.T) Names {
		return Names{
			Method: rapid.SampledFrom([]postgres.SyncMethod{"", postgres.SyncFirst, postgres.SyncAny}).Draw(t, "method"),
			Num:    rapid.IntRange(-1, 4).Draw(t, "num"), Names: rapid.SliceOfN(name, 0, 4).Draw(t, "names"),
		}
	})
	state := rapid.Custom(func(t *rapid.T) State {
		s := State{
			Mode: Mode(rapid.IntRange(0, 2).Draw(t, "mode")), Strict: rapid.Bool().Draw(t, "strict"),
			NodeCount: rapid.IntRange(-1, 3).Draw(t, "count"), MaxLag: rapid.Int64Range(-1, 1).Draw(t, "maxlag"), Leader: "a",
			InEffect: names.Draw(t, "in effect"), Since: postgres.LSN(rapid.Uint64Range(0, 2).Draw(t, "since")),
			Key: Key{
				Leader: rapid.SampledFrom([]string{"a", "a", "a", "b", "x", ""}).Draw(t, "leader"),
				Quorum: rapid.IntRange(-1, 4).Draw(t, "quorum"), Voters: rapid.SliceOfN(name, 0, 4).Draw(t, "voters"),
			},
			KeyExists: rapid.Bool().Draw(t, "key"), KeyInDoubt: rapid.IntRange(0, 9).Draw(t, "doubt") == 0,
		}
		s.Asked = s.InEffect
		if rapid.IntRange(0, 4).Draw(t, "late") == 0 {
			s.Asked = names.Draw(t, "asked")
		}
		for _, n := range rapid.SliceOfN(name, 0, 5).Draw(t, "standbys") {
			s.Standbys = append(s.Standbys, Standby{
				Name: n, Streaming: rapid.Bool().Draw(t, "streaming"), FlushLSN: postgres.LSN(rapid.Uint64Range(0, 2).Draw(t, "flush")),
				SyncState: rapid.SampledFrom([]string{"", "async", "potential", "sync", "quorum"}).Draw(t, "state"),
				Lag:       rapid.Uint64Range(0, 2).Draw(t, "lag"), SyncPriority: rapid.IntRange(-1, 2).Draw(t, "priority"),
				Alive: rapid.Bool().Draw(t, "alive"), GivenUp: rapid.Bool().Draw(t, "given up"), Quiet: rapid.Bool().Draw(t, "quiet"),
			})
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		s := state.Draw(t, "state")
		step, why := Next(s)
		if why == "" {
			t.Fatalf("no reason for %v", step)
		}
		switch a := step.(type) {
		case WriteKey:
			if a.Key.Leader != "a" || len(a.Key.Voters) > 0 && !s.covers(s.InEffect, a.Key) && !sameKey(a.Key, normalKey(s.Key)) {
				t.Fatalf("%v is not safe: %s", a, why)
			}
		case SetNames:
			if s.KeyExists && s.Key.Leader == "a" && s.covers(s.InEffect, s.Key) && !s.covers(a.Names, s.Key) && !equalNames(a.Names, s.Asked) {
				t.Fatalf("%v is not safe: %s", a, why)
			}
		}
		if first, _ := InitialNames(s); s.Mode != Off && !s.covers(first.Names, *first.Key) {
			t.Fatalf("it would begin with %v", first)
		}
	})
}

// covers tries all sets of standbys that may confirm a commit against all sets of voters that elect. Two nodes that no list names
// stand for all strangers.
func (s State) covers(n Names, k Key) bool {
	universe := []string{"c", "d", "x", "stranger", "another"}
	for _, n := range []string{"b", "B"} { // who uses another spelling is somebody that the leader knows of
		if s.knows(n) {
			universe = append(universe, n)
		}
	}
	voters := set(k.Voters)
	for confirm := range 1 << len(universe) {
		if !confirms(n, pick(universe, confirm)) {
			continue
		}
		for elect := range 1 << len(voters) {
			e := slices.DeleteFunc(pick(voters, elect), func(v string) bool { return v == k.Leader })
			if len(e) == max(k.Quorum, 0)+1 && len(both(e, pick(universe, confirm))) == 0 {
				return false
			}
		}
	}
	return true
}

func (s State) knows(name string) bool {
	return slices.Contains(s.Key.Voters, name) || slices.ContainsFunc(s.Standbys, func(st Standby) bool { return st.Name == name })
}

// confirms says whether PostgreSQL lets a commit through that just these standbys have flushed.
func confirms(n Names, by []string) bool {
	if n.IsZero() {
		return true
	}
	count := 0
	for _, b := range by {
		if n.Has(b) {
			count++
		}
	}
	return count >= max(n.Num, 1)
}

func pick(of []string, bits int) []string {
	var out []string
	for i, n := range of {
		if bits>>i&1 == 1 {
			out = append(out, n)
		}
	}
	return out
}
