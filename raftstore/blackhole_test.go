package raftstore

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// A leader whose packets vanish, with no connection ever reset, is replaced; requests that wait for it end with it; and
// when the packets flow again it follows.
func TestLeaderInABlackHole(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	old := c.leader()
	others := c.others(old)
	id := c.grant(old, 60)
	c.wires.swallow(true, old, others...)
	renewed := make(chan error, 1)
	go func() {
		_, err := c.store(others[0]).LeaseRenew(t.Context(), id) // asks the leader in the hole
		renewed <- err
	}()
	now := c.leader(others...)
	c.put(others[0], "k", "v")
	c.put(others[1], "k", "w")
	if err := <-renewed; err != nil {
		t.Log("the renewal that waited:", err) // its client tries again
	}
	if _, err := c.store(others[0]).LeaseRenew(t.Context(), id); err != nil {
		t.Error(err)
	}
	waitFor(t, "the old leader to give up", func() bool { return !c.store(old).IsLeader() })
	c.wires.swallow(false, old, others...)
	waitFor(t, "the old leader to follow", func() bool {
		resp, err := c.store(old).Range(t.Context(), &pb.RangeRequest{Key: []byte("k")})
		return err == nil && string(resp.Kvs[0].Value) == "w"
	})
	c.put(now, "k", "x")
	c.sameHash()
}

// A follower in a black hole does not hold up writes, and catches up when it is out.
func TestFollowerInABlackHole(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	lead := c.leader()
	away := c.others(lead)[0]
	c.wires.swallow(true, away, c.others(away)...)
	for range 20 {
		c.put(lead, "k", "v")
	}
	c.wires.swallow(false, away, c.others(away)...)
	c.put(c.leader(), "k", "w")
	waitFor(t, "it to catch up", func() bool {
		resp, err := c.store(away).Range(t.Context(), &pb.RangeRequest{Key: []byte("k")})
		return err == nil && len(resp.Kvs) == 1 && string(resp.Kvs[0].Value) == "w"
	})
	c.sameHash()
}
