package syncset

import (
	"fmt"
	"strings"
)

// Step is one change or pause on the way. Take it, look again, plan again. A nil Step means that all is as it should be.
type Step interface {
	fmt.Stringer
	step()
}

// SetNames sets synchronous_standby_names and reloads PostgreSQL. It is over when State.InEffect shows Names.
type SetNames struct{ Names Names }

// WriteKey writes the sync key, on the condition that it is unchanged since State.Key was read and that the leader still leads.
type WriteKey struct{ Key Key }

// DeleteKey removes the sync key, on the same conditions.
type DeleteKey struct{}

// Wait changes nothing: the standbys For have to catch up, or their walsenders to reload, before the next step is safe.
type Wait struct{ For []string }

func (SetNames) step()  {}
func (WriteKey) step()  {}
func (DeleteKey) step() {}
func (Wait) step()      {}

func (s SetNames) String() string { return fmt.Sprintf("set names '%s'", s.Names) }
func (s WriteKey) String() string { return "write key " + s.Key.String() }
func (DeleteKey) String() string  { return "delete key" }
func (s Wait) String() string     { return "wait for " + strings.Join(s.For, ", ") }

// String names who can elect.
func (k Key) String() string {
	if len(k.Voters) == 0 {
		return k.Leader + " alone"
	}
	return fmt.Sprintf("%s, or %d of (%s)", k.Leader, k.Quorum+1, strings.Join(k.Voters, ","))
}
