package dynamic

import "time"

// Timing holds every time of an agent that follows from the lease's ttl. It has one source, [TimingFor], because the safety of
// the lease rests on how these relate, not on each of them.
type Timing struct {
	// TTL is how long the store keeps the leader key after the last renewal that it heard of.
	TTL time.Duration
	// Renew is the time between two renewals: six fit into a ttl, so one lost reply, or one election of the store,
	// costs nothing.
	Renew time.Duration
	// RenewMember is the same for a node that does not lead. When its member key goes for want of a renewal that is no outage, and three
	// renewals in a ttl are what etcd's own client takes.
	RenewMember time.Duration
	// Margin lies between the end of a primary's right to acknowledge writes and the end of its lease: it covers the
	// drift of two clocks over one ttl and the time that killing takes.
	Margin time.Duration
	// WatchdogMargin lies between the watchdog's reset of the host and the end of the lease. Patroni's safety_margin.
	WatchdogMargin time.Duration
	// RouterConfirm is the time between two linearizable reads by which a host without PostgreSQL proves that its routing
	// table is still true.
	RouterConfirm time.Duration
}

const (
	renewalsPerTTL   = 6
	memberRenewals   = 3
	confirmsPerTTL   = 3
	minMargin        = 150 * time.Millisecond
	maxWatchdog      = 5 * time.Second
	electionsPerTTL  = 6
	recoveredReserve = 200 * time.Millisecond
)

// TimingFor derives the times from ttl.
func TimingFor(ttl time.Duration) Timing {
	return Timing{
		TTL:            ttl,
		Renew:          ttl / renewalsPerTTL,
		RenewMember:    ttl / memberRenewals,
		Margin:         max(minMargin, ttl/10),
		WatchdogMargin: min(maxWatchdog, ttl/2),
		RouterConfirm:  ttl / confirmsPerTTL,
	}
}

// Usable is how long after the start of its last successful renewal a primary may acknowledge writes.
func (t Timing) Usable() time.Duration { return t.TTL - t.Margin }

// WatchdogTimeout is how long after its last ping the watchdog may reset the host: before the lease has ended.
func (t Timing) WatchdogTimeout() time.Duration { return t.TTL - t.WatchdogMargin }

// SurvivesElection says whether a primary that renewed just before the store lost its leader still holds its lease when the next
// leader serves: two rounds of election may be needed after the time in which the loss is noticed, and 0.2 s for a request.
func (t Timing) SurvivesElection(electionTimeout time.Duration) bool {
	return t.TTL-t.Margin-t.Renew > 3*electionTimeout+recoveredReserve
}

// MinTTL is the shortest ttl, in whole seconds as leases are, under which a store with this election timeout can lose its leader
// without cost to a healthy primary.
func MinTTL(electionTimeout time.Duration) time.Duration {
	ttl := max(time.Second, ceilSecond(electionsPerTTL*electionTimeout))
	for !TimingFor(ttl).SurvivesElection(electionTimeout) {
		ttl += time.Second
	}
	return ttl
}

func ceilSecond(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
