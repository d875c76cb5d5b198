package candidate

import (
	"fmt"
	"slices"

	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// Input is all that a race depends on.
type Input struct {
	Self Member
	// Others are all other hosts that may hold data: the members of the present view, of the view before the leader was lost
	// (a dead host's key goes with its lease), of the failsafe list, and of the sync key.
	Others []Member

	SystemID   string
	LastLeader string
	Term       dcs.Term // the last leader's, if it is known
	Target     dcs.Term // what pledges have to cover to be final; zero: there is nothing to pledge away
	History    []dcs.HistoryLine
	Optime     postgres.LSN // the last leader's last word on its position
	Released   *dcs.Released
	Failsafe   []string // nil: there is no such key

	Mode      syncset.Mode
	Key       syncset.Key
	KeyExists bool

	Manual   Manual
	Settings Settings

	// Outage says that this node has seen no leader since it started: all hosts may have been down.
	Outage bool
	// Patient says that the better candidate, or a host that may be one, may still be waited for. It ends when the caller's
	// time for this race is over. Who is known to be ahead, reachable and fit is waited for beyond it.
	Patient bool
}

// Manual is what an operator asked for: a failover names the candidate alone, a switchover the leader, the candidate, or both.
type Manual struct{ Leader, Candidate string }

// Settings are the rules that the configuration sets.
type Settings struct {
	MaxLag           int64 // maximum_lag_on_failover, bytes
	CheckTimeline    bool
	WatchdogRequired bool
	Paused           bool
	// StandbyCluster has no timeline check: its timelines are the remote cluster's.
	StandbyCluster bool
}

// Verdict is the outcome of a race for one member.
type Verdict struct {
	Go     bool
	Wait   string // the member that should lead, or must answer first; "" if it is nobody in particular
	Reason string
}

// Race says whether in.Self may take the lead now.
func Race(in Input) Verdict {
	r := &race{Input: in}
	for _, rule := range []func() *Verdict{
		r.unable, r.forbidden, r.unpledged, r.otherPrimary, r.manual,
		r.failsafe, r.sync, r.stray, r.lag, r.timeline, r.outage, r.peers,
	} {
		if v := rule(); v != nil {
			return *v
		}
	}
	return Verdict{Go: true, Reason: "no reachable member is ahead"}
}

// race is one run through the rules. Each returns nil to go on.
type race struct {
	Input
	proven bool // the sync key vouches for this member's data
	asked  bool // an operator named this member: the lag does not count
}

func no(wait, format string, args ...any) *Verdict {
	return &Verdict{Wait: wait, Reason: fmt.Sprintf(format, args...)}
}

// unable: PostgreSQL must run, and on this cluster's data.
func (r *race) unable() *Verdict {
	switch {
	case !r.Self.Running:
		return no("", "my PostgreSQL does not run")
	case !r.ours(r.Self):
		return no("", "my system identifier %s is not the cluster's, %s", r.Self.SystemID, r.SystemID)
	}
	return nil
}

func (r *race) ours(m Member) bool {
	return m.SystemID == "" || r.SystemID == "" || m.SystemID == r.SystemID
}

// forbidden: pause, the tags, the watchdog. A running primary leads on in spite of its tags.
func (r *race) forbidden() *Verdict {
	switch {
	case r.Settings.Paused && !r.Self.Primary && r.Manual.Candidate != r.Self.Name:
		return no("", "the cluster is paused")
	case r.Self.barred() && !r.Self.Primary:
		return no("", "i am not allowed to promote")
	case r.Settings.WatchdogRequired && r.Self.WatchdogFailed:
		return no("", "Watchdog device is not usable")
	}
	return nil
}

// unpledged: until it has pledged, a standby may still receive log, and confirm commits of the old leader.
func (r *race) unpledged() *Verdict {
	if r.Self.Primary || r.settled(r.Self) {
		return nil
	}
	return no("", "i have still to pledge that i follow nobody of terms up to %s", r.Target)
}

// settled says whether a member's position is final.
func (r *race) settled(m Member) bool {
	return r.Target.IsZero() || !m.CanPledge || m.Pledged.Covers(r.Target)
}

// stray: a member with a history of its own has to be rewound. Where the sync key vouches for it the history in the store is the one
// that is wrong: it is written after a promotion, and the primary that should have written it can be gone by then.
func (r *race) stray() *Verdict {
	if r.proven {
		return nil
	}
	if why := strays(r.Self, r.History); why != "" {
		return no("", "my data has left the cluster's history: %s", why)
	}
	return nil
}

// otherPrimary: nobody is promoted beside a primary. Of two primaries that run without a leader key, the one that is not behind
// goes on.
func (r *race) otherPrimary() *Verdict {
	for _, m := range r.Others {
		if !m.Reachable || !m.Running || !m.Primary || !r.ours(m) {
			continue
		}
		if !r.Self.Primary || strays(m, r.History) == "" && compare(m, r.Self) > level {
			return no(m.Name, "Primary (%s) is still alive", m.Name)
		}
	}
	return nil
}

// manual: an operator's failover goes to its candidate whatever it lacks. A switchover keeps the rules about data; its
// candidate comes first, and the leader that was to be replaced last, while there is patience for the others. The lag is of no account for
// whom the operator named alone (Patroni's: for everybody, so that a switchover whose leader dies can lose more than was agreed).
func (r *race) manual() *Verdict {
	m := r.Manual
	if m == (Manual{}) {
		return r.handedOver()
	}
	r.asked = m.Candidate == r.Self.Name
	switch {
	case m.Leader == "" && m.Candidate == r.Self.Name:
		return &Verdict{Go: true, Reason: "an operator asked for a failover to me"}
	case m.Leader == "":
		if v := r.yield(m.Candidate, r.healthy, "the candidate that an operator named"); v != nil {
			return v
		}
	default:
		if v := r.yield(m.Candidate, r.notBehind, "the candidate that an operator named"); v != nil {
			return v
		}
	}
	if m.Leader == r.Self.Name && r.Patient {
		for _, o := range r.Others {
			if r.notBehind(o) {
				return no(o.Name, "an operator asked for another leader than me")
			}
		}
	}
	return nil
}

// handedOver: the old leader chose its successor.
func (r *race) handedOver() *Verdict {
	if r.Released == nil || r.Released.To == "" || r.Released.To == r.Self.Name || !r.Released.Term.Covers(r.Term) {
		return nil
	}
	return r.yield(r.Released.To, r.notBehind, "the one that the lead was handed to")
}

// yield waits for a member that comes before all others, if it can lead.
func (r *race) yield(name string, can func(Member) bool, what string) *Verdict {
	for _, o := range r.Others {
		if o.Name == name && r.Patient && can(o) {
			return no(name, "%s is %s", name, what)
		}
	}
	return nil
}

func (r *race) notBehind(m Member) bool { return r.rival(m) && compare(m, r.Self) != behind }

// failsafe: a leader without a store asked those on the list only.
func (r *race) failsafe() *Verdict {
	if r.Failsafe != nil && !slices.Contains(r.Failsafe, r.Self.Name) {
		return no("", "i am not in the failsafe list")
	}
	return nil
}

// sync: in synchronous mode only who has every acknowledged commit.
func (r *race) sync() *Verdict {
	var late string
	for _, m := range r.Others {
		if r.stands(m) && !r.settled(m) && slices.Contains(r.Key.Voters, m.Name) {
			late = m.Name
		}
	}
	ok, why := r.election(r.Self)
	if !ok {
		return no(late, "i may lack acknowledged commits: %s", why)
	}
	r.proven = r.Mode != syncset.Off && r.KeyExists
	return nil
}

// stands says whether the end of m's log is known: where a stopped one ends is not before it has recovered.
func (r *race) stands(m Member) bool {
	return m.Reachable && m.Running && r.ours(m) && !m.Primary && m.Timeline != 0
}

// election asks whether, by the sync key and by all that can be seen from here, a member has every acknowledged commit.
func (r *race) election(m Member) (ok bool, why string) {
	e := syncset.Election{
		Mode: r.Mode, Key: r.Key, KeyExists: r.KeyExists, Candidate: m.Name, At: m.position(), Reached: map[string]syncset.Position{},
	}
	for _, o := range r.Others {
		if o.Name != m.Name && r.stands(o) && r.settled(o) {
			e.Reached[o.Name] = o.position()
		}
	}
	if m.Name != r.Self.Name {
		e.Reached[r.Self.Name] = r.Self.position()
	}
	return syncset.CanPromote(e)
}

// lag: without synchronous replication some loss is accepted, up to a limit.
func (r *race) lag() *Verdict {
	if r.proven || r.asked {
		return nil
	}
	end := r.Optime
	if r.Released != nil && r.Released.Term.Covers(r.Term) {
		end = max(end, postgres.LSN(r.Released.LSN))
	}
	if lag := end.Sub(r.Self.LSN()); lag > r.Settings.MaxLag {
		return no("", "My wal position exceeds maximum replication lag: it is %d bytes behind the last leader's", lag)
	}
	return nil
}

// timeline: who is still on an older timeline lacks what was done on the newer one. Without check_timeline it may lead if its log
// ends where the newer one began, or before.
func (r *race) timeline() *Verdict {
	t := newest(r.History)
	if r.proven || r.Settings.StandbyCluster || r.Self.Timeline >= t {
		return nil
	}
	if r.Settings.CheckTimeline {
		return no("", "My timeline %d is behind last known cluster timeline %d", r.Self.Timeline, t)
	}
	for _, line := range r.History {
		if postgres.Timeline(line.Timeline) == r.Self.Timeline && r.Self.LSN() > postgres.LSN(line.LSN) {
			return no("", "my timeline %d ended at %s for the cluster, and my log goes on to %s", line.Timeline, postgres.LSN(line.LSN), r.Self.LSN())
		}
	}
	return nil
}

// outage: when all were down, the newest data may be on a host that is not back yet.
func (r *race) outage() *Verdict {
	if !r.Outage || !r.Patient || r.proven || r.complete() {
		return nil
	}
	missing := ""
	for _, m := range r.Others {
		switch {
		case !m.Reachable && (missing == "" || m.Name == r.LastLeader):
			missing = m.Name
		case m.Reachable && !m.Running && !m.barred() && r.ours(m):
			return no(m.Name, "%s may hold newer data and is not up yet", m.Name)
		}
	}
	if missing != "" {
		return no(missing, "%s may hold newer data and has not come back yet", missing)
	}
	return nil
}

// complete says whether the last term ended in order and this member has all of it.
func (r *race) complete() bool {
	return r.Released != nil && r.Released.LSN != 0 && r.Released.Term.Covers(r.Term) &&
		r.Self.Timeline >= newest(r.History) && r.Self.LSN() >= postgres.LSN(r.Released.LSN)
}

// peers: whoever could lead and is ahead goes first; level with this one, whoever the operator prefers.
func (r *race) peers() *Verdict {
	for _, m := range r.Others {
		if !r.rival(m) {
			continue
		}
		switch o := compare(m, r.Self); {
		case o == ahead:
			return no(m.Name, "Wal position of %s is ahead of my wal position: it is at %s, i am at %s", m.Name, m.position(), r.Self.position())
		case o == apart:
			return no(m.Name, "%s and i have different histories of which the cluster knows neither: an operator must choose by a failover", m.Name)
		case o == level && m.Priority > r.Self.Priority && m.Name != r.LastLeader && r.Patient && !r.Self.Primary:
			return no(m.Name, "%s has equally tolerable WAL position and priority %d, while this node has priority %d", m.Name, m.Priority, r.Self.Priority)
		}
	}
	return nil
}

// rival says whether m could lead in place of this member, as far as can be seen from here. Who is ahead by what was acknowledged to nobody, and may not
// lead, is not waited for: nor would it ever go.
func (r *race) rival(m Member) bool {
	if !r.healthy(m) || !r.fit(m) || r.Failsafe != nil && !slices.Contains(r.Failsafe, m.Name) {
		return false
	}
	ok, _ := r.election(m)
	return ok
}

// healthy says whether a standby could be promoted, whatever data it has.
func (r *race) healthy(m Member) bool {
	return m.Reachable && m.Running && !m.Primary && r.ours(m) && !m.barred() && !m.WatchdogFailed
}

// fit says whether m may lead by its data and its tags, once it runs. The leader in the sync key does not count: what it has
// beyond the others was acknowledged to nobody.
func (r *race) fit(m Member) bool {
	if m.Timeline == 0 || m.barred() || m.WatchdogFailed || !r.ours(m) {
		return false
	}
	vouched := r.Mode != syncset.Off && r.KeyExists
	if vouched && slices.Contains(r.Key.Voters, m.Name) {
		return true
	}
	return strays(m, r.History) == "" && (!vouched || r.Mode == syncset.Quorum && m.Name != r.Key.Leader)
}
