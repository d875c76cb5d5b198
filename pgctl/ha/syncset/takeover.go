package syncset

import (
	"fmt"
	"slices"
	"strings"
)

// Takeover is what a node that is about to be promoted starts with.
type Takeover struct {
	// Names have to be in effect before PostgreSQL opens for writes.
	Names Names
	// Key is written in the transaction that takes the leader key. It is nil in mode Off: a key that is there is deleted.
	Key *Key
}

// InitialNames plans the takeover by s.Leader, which is allowed to be promoted (see CanPromote). Of s it uses the settings, the
// standing key, and of Standbys the other members with Name, Alive and SyncPriority, the former leader among them. Alive says here
// more than that the lease stands: the member is ready to follow without being rewound, as a running standby is, or a leader that
// has shut down in order. The first commits wait for such members only, not for one that has to be repaired.
//
// The invariant holds from the first commit on and nothing has to be waited for: the voters of the old key lack, all but its
// quorum, no acknowledged commit, and its leader lacks none; so any of them may vote on as long as the quorum is not lowered and
// the names suit it. A manual failover to a node that is in no key is planned in the same way: what the operator gave up with it
// is not acknowledged any more as far as the new leader is concerned.
func InitialNames(s State) (Takeover, string) {
	v := newView(s)
	if v.Mode == Off {
		return Takeover{Names: v.Configured}, "synchronous_mode is off"
	}
	heirs := v.heirs()
	if len(heirs) == 0 {
		return v.startAlone()
	}
	t := v.plan(heirs)
	t.key.Quorum = v.Key.Quorum
	t.names.Num = max(t.names.Num, len(heirs)-v.Key.Quorum)
	return Takeover{Names: t.names, Key: &t.key}, "synchronous from the first commit on: " + strings.Join(t.key.Voters, ", ")
}

// heirs are those of the old key that can go on under the new leader: none if they are too few to elect.
func (v *view) heirs() []string {
	if !v.KeyExists || v.Mode == On && v.Key.Quorum > 0 {
		return nil
	}
	names := v.willing(func(s Standby) bool { return s.Name == v.Key.Leader || slices.Contains(v.Key.Voters, s.Name) })
	if v.Mode == On {
		names = names[:min(len(names), v.NodeCount)]
	}
	if len(names) <= v.Key.Quorum {
		return nil
	}
	return names
}

// startAlone begins with nobody who could be elected. Commits wait for whoever is expected to follow; Next gives the wait up when
// their leases end.
func (v *view) startAlone() (Takeover, string) {
	names := v.willing(func(Standby) bool { return true })
	names = names[:min(len(names), v.NodeCount)]
	t := v.plan(names)
	switch {
	case len(names) > 0:
		return Takeover{t.names, &Key{Leader: v.Leader}}, fmt.Sprintf("commits wait for %s; only the leader may be promoted until then", strings.Join(names, ", "))
	case v.Strict:
		return Takeover{all([]string{Placeholder}), &Key{Leader: v.Leader}}, "no standby is ready to follow, and synchronous_mode_strict is set: commits wait"
	}
	return Takeover{Names{}, &Key{Leader: v.Leader}}, "no standby is ready to follow: commits do not wait"
}

// willing are the members that may be synchronous under the new leader and pass the filter, best first.
func (v *view) willing(filter func(Standby) bool) []string {
	var out []string
	for _, s := range v.Standbys {
		if s.Alive && s.SyncPriority > 0 && s.Name != v.Leader && !v.clash(s.Name) && filter(s) {
			out = append(out, s.Name)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return v.prefer(v.byName[a], v.byName[b]) })
	return out
}
