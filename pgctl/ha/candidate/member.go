package candidate

import (
	"cmp"
	"fmt"
	"slices"

	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// Member is what is known of one host that holds data.
type Member struct {
	Name string
	// Reachable says that it has answered in this round. Without it the other fields are not known.
	Reachable bool
	Running   bool // its PostgreSQL accepts connections
	Primary   bool // and is not in recovery
	SystemID  string

	// Timeline is 0 when it is not known. A PostgreSQL that does not run can still tell it, from its control file.
	Timeline postgres.Timeline
	// Switches are the ends of the timelines before Timeline. A member that does not tell them (Patroni's do not) is compared
	// by the number alone.
	Switches            []postgres.Switch
	FlushLSN, ReplayLSN postgres.LSN

	NoFailover     bool
	Priority       int // failover_priority; whoever fills NoFailover in knows whether it forbids
	WatchdogFailed bool

	// Pledged is the term up to which it follows nobody any more.
	Pledged dcs.Term
	// CanPledge is false for a member run by Patroni. Its position is taken as it is.
	CanPledge bool
}

// LSN is how far its log goes: received, or replayed from the archive.
func (m Member) LSN() postgres.LSN { return max(m.FlushLSN, m.ReplayLSN) }

func (m Member) position() syncset.Position {
	return syncset.Position{Timeline: m.Timeline, LSN: m.LSN()}
}

func (m Member) barred() bool { return m.NoFailover }

// order is how two members compare.
type order int

const (
	behind order = iota - 1
	level
	ahead
	apart // each has log that is not part of the other's history
)

// compare says where a stands, seen from b. The newer timeline is ahead, if it came from the older one.
func compare(a, b Member) order {
	switch {
	case a.Timeline > b.Timeline:
		return compare(b, a).turned()
	case a.Timeline == b.Timeline && a.tells() && b.tells() && !sameSwitches(a.Switches, b.Switches):
		return apart
	case a.Timeline == b.Timeline:
		return order(cmp.Compare(a.LSN(), b.LSN()))
	case b.tells() && !descends(b, a):
		return apart
	}
	return behind
}

// turned is the same seen from the other side.
func (o order) turned() order {
	if o == apart {
		return apart
	}
	return -o
}

// tells says whether the history is known. Timeline 1 has none.
func (m Member) tells() bool { return m.Timeline == 1 || len(m.Switches) > 0 }

// descends says whether young's timeline came from old's.
func descends(young, old Member) bool {
	i := slices.IndexFunc(young.Switches, func(s postgres.Switch) bool { return s.Timeline == old.Timeline })
	return i >= 0 && (!old.tells() || sameSwitches(young.Switches[:i], old.Switches))
}

func sameSwitches(a, b []postgres.Switch) bool {
	return slices.EqualFunc(a, b, func(x, y postgres.Switch) bool { return x.Timeline == y.Timeline && x.End == y.End })
}

// strays says where m left the history in the store, "" if it did not.
func strays(m Member, history []dcs.HistoryLine) string {
	if !m.tells() {
		return ""
	}
	for _, line := range history {
		t := postgres.Timeline(line.Timeline)
		if t >= m.Timeline {
			break
		}
		i := slices.IndexFunc(m.Switches, func(s postgres.Switch) bool { return s.Timeline == t })
		switch {
		case i < 0:
			return fmt.Sprintf("its timeline %d did not come from the cluster's timeline %d", m.Timeline, t)
		case m.Switches[i].End != postgres.LSN(line.LSN):
			return fmt.Sprintf("its timeline %d ended at %s, the cluster's at %s", t, m.Switches[i].End, postgres.LSN(line.LSN))
		}
	}
	return ""
}

// newest is the timeline that the history tells of, and 1 without one.
func newest(history []dcs.HistoryLine) postgres.Timeline {
	if len(history) == 0 {
		return 1
	}
	return postgres.Timeline(history[len(history)-1].Timeline) + 1
}
