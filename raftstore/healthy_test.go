package raftstore

import (
	"testing"
	"time"
)

// Any member tells which of the members are there; one that is dead, or knows of no leader, is not well.
func TestHealthy(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader()
	asked, dead := c.others(lead)[0], c.others(lead)[1]
	ids := make([]uint64, 3)
	for i := range ids {
		ids[i] = c.store(i).ID()
	}
	for _, i := range []int{lead, asked} {
		if got := c.store(i).Healthy(t.Context()); len(got) != 3 || !got[ids[0]] || !got[ids[1]] || !got[ids[2]] {
			t.Errorf("of three that are there, member %d calls %v healthy", i, got)
		}
	}
	c.kill(dead)
	if got := c.store(asked).Healthy(t.Context()); got[ids[dead]] || !got[ids[lead]] || !got[ids[asked]] {
		t.Errorf("with one dead: %v", got)
	}
	c.kill(lead)
	for end := time.Now().Add(30 * time.Second); c.store(asked).Healthy(t.Context())[ids[asked]]; {
		if time.Now().After(end) {
			t.Fatal("a member without a leader calls itself healthy")
		}
	}
}
