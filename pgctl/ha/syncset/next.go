package syncset

import (
	"fmt"
	"slices"
	"strings"
)

// Next plans the next step and says why. Whatever happens between two steps (a crash of the agent, of PostgreSQL, of the
// primary's host, a step that takes effect late or never), the invariant of the package comment holds. Next is total, and
// from every state its steps come to an end.
func Next(s State) (Step, string) {
	v := newView(s)
	for _, rule := range []func() (Step, string){v.ownKey, v.settleKey, v.switchOff, v.mend, v.settleNames} {
		if step, why := rule(); why != "" {
			return step, why
		}
	}
	return v.converge()
}

// ownKey takes a key over that another leader left. It spoke for that leader's commits, not for those of this one.
func (v *view) ownKey() (Step, string) {
	if v.Mode == Off || !v.KeyExists || v.Key.Leader == v.Leader {
		return nil, ""
	}
	return v.onlyLeader(), fmt.Sprintf("the sync key is still %s's", v.Key.Leader)
}

// settleKey overtakes a write that may still arrive: its compare fails once the key has been written again.
func (v *view) settleKey() (Step, string) {
	const why = "the outcome of the last write of the sync key is unknown; writing it again makes a late one fail"
	switch {
	case !v.KeyInDoubt:
		return nil, ""
	case !v.KeyExists:
		return v.onlyLeader(), why
	case v.Mode == Off:
		return DeleteKey{}, why
	}
	return WriteKey{v.Key}, why
}

func (v *view) onlyLeader() Step { return WriteKey{Key{Leader: v.Leader}} }

// switchOff ends the promise first, then the waiting.
func (v *view) switchOff() (Step, string) {
	switch {
	case v.Mode != Off:
		return nil, ""
	case v.KeyExists:
		return DeleteKey{}, "synchronous_mode is off"
	case !equalNames(v.given.Asked, v.Configured) || !equalNames(v.given.InEffect, v.Configured):
		return SetNames{v.Configured}, "synchronous_mode is off: the user's own synchronous_standby_names hold"
	}
	return nil, "synchronous_mode is off"
}

// mend handles names that somebody else has changed, and voters whose name another walsender bears too: what is let through may be
// on no voter, so only the leader may be elected until the voters have caught up.
func (v *view) mend() (Step, string) {
	if i := slices.IndexFunc(v.Key.Voters, v.clash); i >= 0 {
		return v.onlyLeader(), fmt.Sprintf("the name %s is not one standby's alone", v.Key.Voters[i])
	}
	if len(v.Key.Voters) == 0 || keeps(v.InEffect, v.Key) && keeps(v.Asked, v.Key) {
		return nil, ""
	}
	return v.onlyLeader(), fmt.Sprintf("synchronous_standby_names '%s' does not keep what the sync key promises (%s)", v.InEffect, v.Key)
}

// settleNames waits for a change of the names to be in effect everywhere. Until then either list may let a commit through, and
// nothing else may change.
func (v *view) settleNames() (Step, string) {
	if !sameNames(v.Asked, v.InEffect) {
		return SetNames{v.Asked}, "synchronous_standby_names was changed and is not in effect yet"
	}
	var late []string
	for _, s := range v.Standbys {
		listed := false
		for _, n := range v.InEffect.Names {
			listed = listed || n == "*" || strings.EqualFold(n, s.Name)
		}
		if s.Streaming && !listed && s.SyncState != "" && s.SyncState != "async" {
			late = append(late, s.Name)
		}
	}
	if len(late) > 0 {
		return Wait{late}, "walsenders still work by the former synchronous_standby_names"
	}
	return nil, ""
}

// converge goes towards the target: straight if a change of the names or of the key alone keeps the promise, else by way of a
// third pair that is safe next to both.
func (v *view) converge() (Step, string) {
	t := v.target()
	if v.reached(t) {
		return nil, v.describe(t)
	}
	if step, why := v.towards(t); why != "" {
		return step, why
	}
	return v.bridge(t)
}

func (v *view) reached(t target) bool {
	return sameNames(v.InEffect, t.names) && v.KeyExists && sameKey(v.Key, t.key)
}

// towards takes the straight step, if there is one. It gives no reason if there is none.
func (v *view) towards(t target) (Step, string) {
	if !sameNames(v.InEffect, t.names) && keeps(t.names, v.Key) {
		return SetNames{t.names}, v.whyNames(t)
	}
	if v.KeyExists && sameKey(v.Key, t.key) || !keeps(v.InEffect, t.key) {
		return nil, ""
	}
	switch {
	case v.Since == 0 && len(t.key.Voters) > 0:
		return Wait{t.key.Voters}, "it is not known yet from where on synchronous_standby_names is in effect"
	case v.lacking(t.key) > t.key.Quorum:
		late := v.late(t.key)
		return Wait{late}, "standbys have still to flush what was acknowledged without them: " + strings.Join(late, ", ")
	}
	return WriteKey{t.key}, v.whyKey(t)
}

// bridge is for a change of the names and of the key of which neither is safe alone. What the two sides share is safe next to
// both; where they share nothing, having all of both confirm is.
func (v *view) bridge(t target) (Step, string) {
	if shared := both(v.Key.Voters, t.key.Voters); len(shared) > 0 {
		if step, why := v.towards(v.plan(shared)); why != "" {
			return step, why
		}
	}
	names := all(set(slices.Concat(v.Key.Voters, t.key.Voters)))
	return SetNames{names}, "all of the former and of the future standbys confirm until the sync key has changed"
}
