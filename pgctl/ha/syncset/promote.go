package syncset

import (
	"cmp"
	"fmt"
	"slices"

	"quorate/pgctl/postgres"
)

// Position is how far a node's log goes. Positions are ordered by timeline before LSN: the later timeline holds all that was
// acknowledged on the earlier one, whose log behind the fork was acknowledged to nobody (patroni issue 890).
type Position struct {
	Timeline postgres.Timeline
	LSN      postgres.LSN // flushed
}

// Compare is negative when p lies before o.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Timeline, o.Timeline), cmp.Compare(p.LSN, o.LSN))
}

func (p Position) String() string { return fmt.Sprintf("%d:%s", p.Timeline, p.LSN) }

// Election is the question whether a node has every acknowledged commit, as far as the sync key can tell.
type Election struct {
	Mode      Mode
	Key       Key
	KeyExists bool
	Candidate string
	At        Position
	// Reached are the other members that answered. Those that have pledged to follow nobody older count; a member that might
	// still confirm a commit of the old leader after its answer must not be among them.
	Reached map[string]Position
}

// CanPromote says whether the candidate may be promoted, and why. Without a key there is no promise to keep. The key's leader
// has everything that it acknowledged. In mode on the other candidates are the voters; with a quorum the candidate needs that
// many voters, besides itself if it is one, that answered and are not ahead of it, and one more if it is none. The key's own
// quorum counts in mode on too, where it is not 0 while the mode is being changed.
func CanPromote(e Election) (bool, string) {
	k := normalKey(e.Key)
	member := slices.Contains(k.Voters, e.Candidate)
	switch {
	case e.Mode == Off:
		return true, "synchronous_mode is off"
	case !e.KeyExists:
		return true, "there is no sync key: no commit has waited for a standby"
	case e.Candidate == k.Leader:
		return true, "it was the leader and has every commit that it acknowledged"
	case len(k.Voters) == 0:
		return false, fmt.Sprintf("only %s has every acknowledged commit", k.Leader)
	case e.Mode == On && !member:
		return false, fmt.Sprintf("not in the sync key (%s)", k)
	}
	return e.count(k, member)
}

func (e Election) count(k Key, member bool) (bool, string) {
	need := k.Quorum
	if !member {
		need++
	}
	var ahead, missing []string
	votes := 0
	for _, name := range k.Voters {
		at, ok := e.Reached[name]
		switch {
		case name == e.Candidate:
		case !ok:
			missing = append(missing, name)
		case at.Compare(e.At) > 0:
			ahead = append(ahead, name)
		default:
			votes++
		}
	}
	if need == 0 {
		return true, "in the sync key, and has every acknowledged commit"
	}
	if votes < need {
		return false, fmt.Sprintf("%d of %d votes (not reached: %v, ahead: %v)", votes, need, missing, ahead)
	}
	return true, fmt.Sprintf("it has %d votes and needs %d of them", votes, need)
}
