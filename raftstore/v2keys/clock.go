package v2keys

import "time"

// clusterTime is the cluster's own time: nanoseconds that leaders have counted since the cluster was founded.
type clusterTime int64

// epoch maps cluster time to the times that v2store keeps. It takes any before the year 2000 to mean "for ever".
var epoch = time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)

func (t clusterTime) time() time.Time { return epoch.Add(time.Duration(t)) }

// maxStep is the most that cluster time advances between two looks at the clock.
const maxStep = time.Second

// clock is one node's knowledge of cluster time.
type clock struct {
	last clusterTime   // the largest value seen or made
	at   time.Duration // the monotonic reading when it was
}

// now is an estimate that never runs ahead of the leader that counts.
func (c *clock) now(mono time.Duration) clusterTime {
	return c.last + clusterTime(min(max(mono-c.at, 0), maxStep))
}

// tick fixes the estimate, as the leader does before a step has grown too large.
func (c *clock) tick(mono time.Duration) {
	c.last, c.at = c.now(mono), mono
}

// observe takes over a time that a leader has put in the log.
func (c *clock) observe(t clusterTime, mono time.Duration) {
	if t > c.last {
		c.last, c.at = t, mono
	}
}
