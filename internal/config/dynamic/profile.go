package dynamic

import "time"

// Profile is what the defaults and minimums of the times depend on: the store that keeps the cluster's state.
type Profile struct {
	TTL, LoopWait, RetryTimeout          time.Duration // defaults
	MinTTL, MinLoopWait, MinRetryTimeout time.Duration
	// Store names the store in messages.
	Store string
}

// EtcdProfile holds Patroni's times, for a cluster on an etcd of its own.
func EtcdProfile() Profile {
	return Profile{
		TTL: 30 * time.Second, LoopWait: 10 * time.Second, RetryTimeout: 10 * time.Second,
		MinTTL: 20 * time.Second, MinLoopWait: time.Second, MinRetryTimeout: 3 * time.Second,
		Store: "etcd",
	}
}

// OwnProfile holds the times for a cluster on Quorate's own store. The election timeout is the largest that any member of the store
// has published: a ttl below [MinTTL] would let the loss of a Raft leader cost a healthy primary its lease.
func OwnProfile(electionTimeout time.Duration) Profile {
	least := MinTTL(electionTimeout)
	return Profile{
		TTL: max(3*time.Second, least), LoopWait: time.Second, RetryTimeout: time.Second,
		MinTTL: least, MinLoopWait: time.Second, MinRetryTimeout: time.Second,
		Store: "the store of Quorate",
	}
}

// times reads ttl, loop_wait and retry_timeout, and mends a relation that would let the lease end between two looks:
// loop_wait + 2 * retry_timeout must fit into the ttl. As in Patroni (since 3.2.0) loop_wait gives way first, then
// retry_timeout.
func (c *Config) times(r *reader, p Profile) {
	c.TTL = r.wholeSeconds("ttl", p.TTL, p.MinTTL)
	c.LoopWait = r.wholeSeconds("loop_wait", min(p.LoopWait, c.TTL), p.MinLoopWait)
	c.RetryTimeout = r.wholeSeconds("retry_timeout", p.RetryTimeout, p.MinRetryTimeout)
	if c.LoopWait+2*c.RetryTimeout <= c.TTL {
		return
	}
	const reason = "loop_wait + 2 * retry_timeout must not exceed ttl"
	wait := c.TTL - 2*c.RetryTimeout
	if p.MinLoopWait > wait {
		wait = p.MinLoopWait
		shorter := max(time.Second, ((c.TTL - wait) / 2).Truncate(time.Second))
		r.adjusted("retry_timeout", seconds(c.RetryTimeout), seconds(shorter), reason)
		c.RetryTimeout = shorter
	}
	if wait != c.LoopWait {
		r.adjusted("loop_wait", seconds(c.LoopWait), seconds(wait), reason)
		c.LoopWait = wait
	}
}
