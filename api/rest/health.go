package rest

import (
	"math"
	"slices"
	"strings"

	"quorate/internal/boottime"
)

// HealthInput is all that a health answer depends on.
type HealthInput struct {
	Status *NodeStatus
	Path   string              // as in the request line, without the query
	Query  map[string][]string // decoded; empty values count as absent, as Patroni's parser drops them
	Now    boottime.Instant
}

// Health is the code of a health check: 200 or 503, for every path there is. The paths are matched by substring and in this
// order, as Patroni does (patroni/api.py, do_GET), so that /foo/primary and /patroni-leader mean what they mean there.
//
// The rules read nothing but their input: they never wait, and a hung PostgreSQL or store changes them only by what the node
// publishes and by the lease and the view growing old.
func Health(in HealthInput) int {
	ok, tagged := in.rule()
	return code(ok && (!tagged || in.tagsMatch()))
}

// Liveness is the code of /liveness: whether the node still decides. A standby is given twice the time, because nothing hangs on
// it; a paused cluster's agents need not do anything at all.
func Liveness(in HealthInput) int {
	s := in.Status
	grace := s.View.TTL
	if s.Postgres.Role != RolePrimary || !s.Postgres.Running {
		grace *= 2
	}
	return code(s.View.Paused || s.Loop.Next.Add(grace).After(in.Now))
}

// Readiness is the code of /readiness: whether PostgreSQL is up, and a standby has caught up with its primary.
func Readiness(in HealthInput) int {
	s := in.Status
	switch {
	case in.leads():
		return code(true)
	case s.Postgres.State != StateRunning, !s.Postgres.Answering, s.Postgres.ReplicationState != "streaming":
		return code(false)
	case !s.View.Fresh(in.Now) && s.Postgres.LatestEnd == 0:
		return code(s.Failsafe.Active)
	}
	position := s.Postgres.Replayed
	if in.query("mode") == "write" {
		position = s.Postgres.Received
	}
	limit, given := ParseSize(in.query("lag"))
	if !given {
		limit = s.View.MaxLag
	}
	return code(!behind(in.leaderPosition(), position, limit))
}

// rule evaluates the path's rule, and says whether the tags in the query count for it.
func (in HealthInput) rule() (ok, tagged bool) {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(in.Path, p) })
	}
	switch {
	case in.Path == "/":
		return in.primary(), false
	case has("standby_leader", "standby-leader"):
		return in.standbyLeader(), false
	case has("leader"):
		return in.leader(), false
	case has("master", "primary", "read-write"):
		return in.primary(), false
	case has("replica"):
		return in.replica(), true
	case has("read-only") && !has("sync", "quorum"):
		return in.primary() || in.standbyLeader() || in.replica(), true
	case has("health"):
		return in.Status.Postgres.shown() == StateRunning, true
	}
	return in.syncRule(), true
}

// syncRule covers the paths that need a current view of who is synchronous. They are matched as a whole.
func (in HealthInput) syncRule() bool {
	if !in.Status.View.Fresh(in.Now) {
		return false
	}
	role := in.Status.Sync
	switch in.Path {
	case "/sync", "/synchronous":
		return role == SyncOn && in.replica()
	case "/quorum":
		return role == SyncQuorum && in.replica()
	case "/async", "/asynchronous":
		return role == SyncNone && in.replica()
	case "/read-only-quorum":
		return in.primary() || in.standbyLeader() || role == SyncQuorum && in.replica()
	case "/read-only-sync", "/read-only-synchronous":
		return in.primary() || in.standbyLeader() || role == SyncOn && in.replica()
	}
	return false
}

// leads says whether this node holds the lease now.
func (in HealthInput) leads() bool {
	return in.Status.Lease.Held && in.Status.Lease.ValidUntil.After(in.Now)
}

// blind says that only PostgreSQL's role is left to go by: nobody renews or takes a lease in pause while the store is away.
func (in HealthInput) blind() bool { return in.Status.View.Paused && !in.Status.View.Fresh(in.Now) }

func (in HealthInput) leader() bool {
	if in.blind() {
		return in.primary() || in.standbyLeader()
	}
	return in.leads()
}

func (in HealthInput) primary() bool {
	if in.blind() {
		return in.Status.Postgres.Role == RolePrimary
	}
	return in.leads() && !in.Status.View.StandbyCluster
}

func (in HealthInput) standbyLeader() bool {
	role := in.Status.Postgres.Role
	if in.blind() {
		return role == RoleStandbyLeader
	}
	return in.leads() && in.Status.View.StandbyCluster && (role == RoleReplica || role == RoleStandbyLeader)
}

// replica is the rule of /replica, on which most others rest.
func (in HealthInput) replica() bool {
	s := in.Status
	switch {
	case !in.blind() && in.leads() && s.View.StandbyCluster: // it serves /standby-leader
		return false
	case s.Postgres.Role != RoleReplica, s.Postgres.shown() != StateRunning, noLoadBalance(s.Tags):
		return false
	}
	if want := in.query("replication_state"); want != "" && want != s.Postgres.ReplicationState {
		return false
	}
	limit, given := ParseSize(in.query("lag"))
	if !given { // also what cannot be read: Patroni then has no limit
		limit = math.MaxInt64
	}
	return !behind(in.leaderPosition(), s.Postgres.Replayed, limit)
}

// leaderPosition is the newest position of the primary that this node has heard of, by the store or by its WAL receiver.
func (in HealthInput) leaderPosition() uint64 {
	told := in.Status.Postgres.LatestEnd
	if !in.Status.View.Fresh(in.Now) {
		return told
	}
	return max(in.Status.View.Optime, told)
}

// behind says whether position lies more than limit bytes before the leader's.
func behind(leader, position uint64, limit int64) bool {
	if leader <= position {
		return limit < 0 && leader > 0 && position-leader < uint64(-limit)
	}
	return limit < 0 || leader-position > uint64(limit)
}

func (in HealthInput) tagsMatch() bool {
	for key := range in.Query {
		name, ok := strings.CutPrefix(key, "tag_")
		if want := in.query(key); ok && want != "" && !tagMatches(in.Status.Tags[name], want) {
			return false
		}
	}
	return true
}

// query is the first value of a parameter that is not empty.
func (in HealthInput) query(key string) string {
	for _, v := range in.Query[key] {
		if v != "" {
			return v
		}
	}
	return ""
}

func code(ok bool) int {
	if ok {
		return 200
	}
	return 503
}
