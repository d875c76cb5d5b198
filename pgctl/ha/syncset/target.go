package syncset

import (
	"cmp"
	"slices"

	"quorate/pgctl/postgres"
)

// target is what should be: the names and the key that belong together.
type target struct {
	names Names
	key   Key
}

// rank tells how good a standby is for the list.
type rank int

const (
	good     rank = iota // it streams, or it is in the key and its lease stands
	quiet                // it is in the key and its lease stands, but its connection does not come back: it goes when one that streams can take its place
	lagging              // it is listed, but lags by more than the limit: it goes when there is a better one
	awaited              // it is in the names only and does not stream: better than nobody
	unusable             // everything else
)

// rank judges one standby. A standby of the key that has merely lost its connection stays until its lease ends: a short
// interruption must not take the last candidate for a promotion away. In mode quorum the others confirm meanwhile; in mode on commits wait for it.
func (v *view) rank(s Standby) rank {
	inKey, inNames := slices.Contains(v.Key.Voters, s.Name), v.named(s.Name)
	switch {
	case s.Name == v.Leader || v.clash(s.Name) || s.SyncPriority <= 0 || !s.Alive:
		return unusable
	case s.Streaming && v.MaxLag > 0 && s.Lag > uint64(v.MaxLag):
		if inKey || inNames {
			return lagging
		}
		return unusable
	case s.Streaming:
		return good
	case s.GivenUp:
		return unusable
	case inKey && s.Quiet && v.Mode == On:
		return quiet
	case inKey:
		return good
	case inNames:
		return awaited
	}
	return unusable
}

func (v *view) named(name string) bool {
	return slices.Contains(v.InEffect.Names, name) || slices.Contains(v.Asked.Names, name)
}

// target plans for the standbys there are.
func (v *view) target() target {
	if v.Mode == Off {
		return target{names: v.Configured}
	}
	chosen := v.choose()
	if len(chosen) == 0 && v.Strict {
		chosen = v.left()
	}
	if len(chosen) == 0 && v.Strict {
		return target{names: all([]string{Placeholder}), key: Key{Leader: v.Leader}}
	}
	return v.plan(chosen)
}

// plan is the names and the key for a set of standbys.
func (v *view) plan(names []string) target {
	names = set(names)
	t := target{key: Key{Leader: v.Leader, Voters: names}}
	if v.Mode == Quorum && len(names) > 0 {
		k := min(v.NodeCount, len(names))
		t.names = Names{Method: postgres.SyncAny, Num: k, Names: names}
		t.key.Quorum = len(names) - k
		return t
	}
	t.names = all(names)
	return t
}

// all makes every one of names confirm.
func all(names []string) Names {
	if len(names) == 0 {
		return Names{}
	}
	return Names{Method: postgres.SyncFirst, Num: len(names), Names: names}
}

// choose picks the standbys: NodeCount of them in mode on, all good ones in mode quorum. Lagging ones only fill up to NodeCount,
// and an awaited one is taken when there is no other.
func (v *view) choose() []string {
	var of [unusable][]string
	for _, s := range v.ranked() {
		of[v.rank(s)] = append(of[v.rank(s)], s.Name)
	}
	chosen := of[good]
	if v.Mode == Quorum && len(chosen) >= v.NodeCount {
		return chosen
	}
	chosen = append(append(chosen, of[quiet]...), of[lagging]...)
	if len(chosen) == 0 {
		chosen = of[awaited]
	}
	return chosen[:min(len(chosen), v.NodeCount)]
}

// ranked are the usable standbys, best first: by rank, by the tag sync_priority, those listed already before others so that
// nothing changes without a reason, by position, by name.
func (v *view) ranked() []Standby {
	var out []Standby
	for _, s := range v.Standbys {
		if v.rank(s) != unusable {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Standby) int { return cmp.Or(cmp.Compare(v.rank(a), v.rank(b)), v.prefer(a, b)) })
	return out
}

func (v *view) prefer(a, b Standby) int {
	return cmp.Or(
		cmp.Compare(b.SyncPriority, a.SyncPriority),
		cmp.Compare(v.newness(a.Name), v.newness(b.Name)),
		cmp.Compare(unconnected(a), unconnected(b)),
		cmp.Compare(b.FlushLSN, a.FlushLSN),
		cmp.Compare(a.Name, b.Name),
	)
}

// newness is 0 for a standby of the key and the names, 1 for one of the key, 2 for one of the names, 3 for any other.
func (v *view) newness(name string) int {
	n := 0
	if !slices.Contains(v.Key.Voters, name) {
		n += 2
	}
	if !v.named(name) {
		n++
	}
	return n
}

// unconnected is 1 for a standby that does not stream.
func unconnected(s Standby) int {
	if s.Streaming {
		return 0
	}
	return 1
}

// left are the standbys of the key when none of them can be used now. Strict mode keeps them: commits wait, and each of them
// still has what was acknowledged, so that it may be elected when it comes back. One that may not be synchronous any more goes.
func (v *view) left() []string {
	return slices.DeleteFunc(slices.Clone(v.Key.Voters), func(n string) bool {
		s, ok := v.standby(n)
		return n == v.Leader || v.clash(n) || ok && s.SyncPriority <= 0
	})
}
