package raftstore

import (
	"cmp"
	"slices"
	"time"
)

// leaseTimes is the clockwork of leases, without a clock: every method is told the time. It knows when leases run out,
// never what is attached to them and never what is committed: that is the lessor's and the log's.
//
// Its time is not the host's. It advances in ticks of at most maxTick, so a process that was stopped, a guest that was
// suspended or a machine that stalled finds its leases almost as it left them: their holders could not renew either, and
// a lease must never end early. The price is that it ends late by as long as the stop was. A member that does not lead ticks by its leader's
// heartbeats, and may take idleTick at once: the silence before it notices that there is no leader any more is no stop, and
// promote gives the holders time enough.
//
// On the leader the deadlines decide. On every other member they are an upper bound of what any leader has promised so
// far, kept so that the next leader need not start every lease afresh: see promote.
type leaseTimes struct {
	maxTick time.Duration
	raw     time.Duration // the caller's clock at the last advance
	clock   time.Duration // our time: the sum of all capped ticks

	leases map[int64]*leaseTime
	// next is never later than the earliest deadline of a lease that is not closing.
	next    time.Duration
	leading bool
}

// leaseTime is one lease's time.
type leaseTime struct {
	grant    uint64 // log index of the grant: tells a lease from a later one with the same id
	ttl      time.Duration
	deadline time.Duration // in leaseTimes.clock
	// closing is set from the proposal of the lease's revocation until its outcome is known. A keep-alive must not
	// succeed meanwhile: the revocation may already be committed.
	closing bool
}

// leaseBound says: no leader promised lease ID, granted at Grant, more than Remaining from now.
type leaseBound struct {
	ID        int64
	Grant     uint64
	Remaining time.Duration
}

func newLeaseTimes(maxTick time.Duration) *leaseTimes {
	return &leaseTimes{maxTick: maxTick, leases: map[int64]*leaseTime{}, next: never}
}

const never = time.Duration(1<<63 - 1)

// idleTick is the longest silence of a leader before an election begins, twice the default election timeout.
const idleTick = time.Second

// advance moves our time towards the caller's clock, which must be monotonic, by at most one tick.
func (t *leaseTimes) advance(now time.Duration) {
	if now > t.raw {
		most := t.maxTick
		if !t.leading {
			most = max(most, idleTick)
		}
		t.clock += min(now-t.raw, most)
		t.raw = now
	}
}

// grant starts a lease. Its holder asked for it before, so a full ttl from now is never early; nor is it earlier than any
// renewal that this member heard of before it applied the grant.
func (t *leaseTimes) grant(now time.Duration, id int64, grant uint64, ttl time.Duration) {
	t.advance(now)
	l := &leaseTime{grant: grant, ttl: ttl, deadline: t.clock + ttl}
	t.leases[id] = l
	t.next = min(t.next, l.deadline)
}

// grantedLease is a lease as a snapshot has it.
type grantedLease struct {
	ID    int64
	Grant uint64
	TTL   time.Duration
}

// restore replaces the leases by those of a snapshot. What is known of a lease that stays is kept.
func (t *leaseTimes) restore(now time.Duration, list []grantedLease) {
	t.advance(now)
	before := t.leases
	t.leases = make(map[int64]*leaseTime, len(list))
	t.next = never
	for _, g := range list {
		t.grant(now, g.ID, g.Grant, g.TTL)
		if old := before[g.ID]; old != nil && old.grant == g.Grant {
			t.leases[g.ID] = old
			t.next = min(t.next, old.deadline)
		}
	}
}

func (t *leaseTimes) remove(id int64) { delete(t.leases, id) }

// renew extends a lease to its full ttl and reports whether it could: the lease is there, is the one granted at grant and
// is not closing. Call it only after a quorum confirmed the leadership and heard of the renewal.
func (t *leaseTimes) renew(now time.Duration, id int64, grant uint64) bool {
	t.advance(now)
	l := t.leases[id]
	if l == nil || l.grant != grant || l.closing {
		return false
	}
	l.deadline = max(l.deadline, t.clock+l.ttl)
	return true
}

// observe takes note of what a leader promised. Bounds only grow: a message may be late and a later one may have said more.
// A lease that this member has not applied yet needs no note, see grant.
func (t *leaseTimes) observe(now time.Duration, bounds []leaseBound) {
	t.advance(now)
	for _, b := range bounds {
		if l := t.leases[b.ID]; l != nil && l.grant == b.Grant {
			l.deadline = max(l.deadline, t.clock+b.Remaining)
		}
	}
}

// report is what this member knows, for a new leader that asks. It must have applied all that the leader has applied.
func (t *leaseTimes) report(now time.Duration) []leaseBound {
	t.advance(now)
	bounds := make([]leaseBound, 0, len(t.leases))
	for id, l := range t.leases {
		bounds = append(bounds, leaseBound{ID: id, Grant: l.grant, Remaining: max(0, l.deadline-t.clock)})
	}
	return bounds
}

// promote makes this member's deadlines the ones that count. The caller has folded in, by observe, the reports of a quorum
// of voters: every acknowledged renewal was heard by a quorum before, so one of them tells of it. A member that restarted
// has forgotten what it heard, but it applied every grant again at its start and so reports at least a full ttl from then.
// Without such a quorum the caller says full, and every lease starts afresh.
//
// Each lease gets at least floor: its holder could not renew while there was no leader.
func (t *leaseTimes) promote(now time.Duration, full bool, floor time.Duration) {
	t.advance(now) // as one that has not led until now
	t.leading = true
	t.next = never
	for _, l := range t.leases {
		l.closing = false
		atLeast := min(floor, l.ttl)
		if full {
			atLeast = l.ttl
		}
		l.deadline = max(l.deadline, t.clock+atLeast)
		t.next = min(t.next, l.deadline)
	}
}

// demote ends the leadership; what is known stays as a bound.
func (t *leaseTimes) demote() {
	t.leading = false
	for _, l := range t.leases {
		l.closing = false
	}
}

// dueLease is a lease whose revocation is to be proposed.
type dueLease struct {
	ID    int64
	Grant uint64
}

// due returns the leases that have run out, soonest first and at most limit, and closes them: the caller proposes their
// revocation and calls reopen for one whose proposal certainly failed.
func (t *leaseTimes) due(now time.Duration, limit int) []dueLease {
	t.advance(now)
	if !t.leading || t.clock < t.next {
		return nil
	}
	var ids []int64
	t.next = never
	for id, l := range t.leases {
		switch {
		case l.closing:
		case l.deadline <= t.clock:
			ids = append(ids, id)
		default:
			t.next = min(t.next, l.deadline)
		}
	}
	slices.SortFunc(ids, func(a, b int64) int {
		return cmp.Or(cmp.Compare(t.leases[a].deadline, t.leases[b].deadline), cmp.Compare(a, b))
	})
	if len(ids) > limit {
		t.next = t.leases[ids[limit]].deadline
		ids = ids[:limit]
	}
	list := make([]dueLease, 0, len(ids))
	for _, id := range ids {
		t.leases[id].closing = true
		list = append(list, dueLease{ID: id, Grant: t.leases[id].grant})
	}
	return list
}

// reopen says that a lease that due returned was not revoked and never will be by that proposal.
func (t *leaseTimes) reopen(d dueLease) {
	if l := t.leases[d.ID]; l != nil && l.grant == d.Grant {
		l.closing = false
		t.next = min(t.next, l.deadline)
	}
}

// wait is how long nothing can become due.
func (t *leaseTimes) wait(now time.Duration) time.Duration {
	t.advance(now)
	if !t.leading || t.next == never {
		return never
	}
	return max(0, t.next-t.clock)
}

// remaining is the time that a lease has left; ok is false when there is no such lease.
func (t *leaseTimes) remaining(now time.Duration, id int64) (left time.Duration, ok bool) {
	t.advance(now)
	l := t.leases[id]
	if l == nil {
		return 0, false
	}
	return l.deadline - t.clock, true
}
