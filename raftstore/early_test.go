package raftstore

import (
	"testing"
	"time"
)

// Members that all stopped elect a leader before the first of their timers can have run out, one that holds what was acknowledged; and a member that
// starts beside a leader leaves it alone.
func TestElectionAfterAFullStop(t *testing.T) {
	t.Parallel()
	const timer = 20 * time.Second
	c := started(t, 3, func(_ int, o *Options) { o.ElectionTimeout = timer })
	lead := c.leader()
	behind := c.others(lead)[0]
	c.kill(behind)
	c.put(lead, "k", "v")
	for _, i := range c.others(behind) {
		c.kill(i)
	}
	began := time.Now()
	c.openAll()
	now := c.leader()
	if took := time.Since(began); took > timer {
		t.Errorf("the election took %v: a timer", took)
	}
	if got := c.get(now, "k"); got != "v" {
		t.Errorf("%q", got)
	}
	term := c.store(now).Term()
	other := c.others(now)[0]
	c.kill(other)
	c.open(other)
	c.waitReady(other)
	c.put(other, "k", "w")
	if after := c.store(now).Term(); after != term || !c.store(now).IsLeader() {
		t.Errorf("a member that was started ended the term %d: %d", term, after)
	}
}

func TestStanding(t *testing.T) {
	for _, c := range []struct{ better, worse standing }{
		{standing{LastTerm: 2, LastIndex: 1, ID: 1}, standing{LastTerm: 1, LastIndex: 9, ID: 2}},
		{standing{LastTerm: 2, LastIndex: 3, ID: 1}, standing{LastTerm: 2, LastIndex: 2, ID: 2}},
		{standing{LastTerm: 2, LastIndex: 3, ID: 2}, standing{LastTerm: 2, LastIndex: 3, ID: 1}},
	} {
		if !c.better.before(c.worse) || c.worse.before(c.better) || c.better.before(c.better) {
			t.Errorf("%+v before %+v", c.better, c.worse)
		}
		if got, err := decodeStanding(c.better.encode()); got != c.better || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := decodeStanding([]byte{1}); err == nil {
		t.Error("a standing cut short was taken")
	}
}
