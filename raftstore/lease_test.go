package raftstore

import (
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

func (c *cluster) grant(i int, ttl int64) int64 {
	c.t.Helper()
	resp, err := patiently(c.t, func() (*pb.LeaseGrantResponse, error) {
		return c.store(i).LeaseGrant(c.t.Context(), &pb.LeaseGrantRequest{TTL: ttl})
	})
	if err != nil {
		c.t.Fatalf("grant on %d: %v", i, err)
	}
	return resp.ID
}

func (c *cluster) putLeased(i int, key string, id int64) {
	c.t.Helper()
	_, err := patiently(c.t, func() (*pb.PutResponse, error) {
		return c.store(i).Put(c.t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte("v"), Lease: id})
	})
	if err != nil {
		c.t.Fatalf("put %s on %d: %v", key, i, err)
	}
}

func TestLeaseExpiresAndItsKeysGo(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	id := c.grant(1, 1)
	c.putLeased(1, "a", id)
	c.putLeased(2, "b", id)
	c.get(0, "b") // has member 0 catch up
	rev := c.store(0).Header().Revision
	waitFor(t, "the keys to go", func() bool { return c.get(0, "a") == "" && c.get(0, "b") == "" })
	if got := c.store(0).Header().Revision; got != rev+1 {
		t.Errorf("the revocation took %d revisions, want 1", got-rev)
	}
	if _, err := c.store(2).LeaseRenew(t.Context(), id); !errors.Is(err, lease.ErrLeaseNotFound) {
		t.Errorf("renewing an expired lease: %v", err)
	}
}

func TestRenewalsKeepALeaseWithoutLogEntries(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	id := c.grant(0, 1)
	c.putLeased(0, "a", id)
	c.settle()
	index, term := c.store(0).state.progress.current(), c.store(0).Term()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); <-pace.C {
		for i := range 3 {
			ttl, err := patiently(t, func() (int64, error) { return c.store(i).LeaseRenew(t.Context(), id) })
			if err != nil || ttl != 1 {
				t.Fatalf("renew on %d: ttl %d, %v", i, ttl, err)
			}
		}
	}
	if c.get(0, "a") == "" {
		t.Error("the lease ended although it was renewed")
	}
	if got := c.store(c.leader()).state.progress.current(); got != index && c.store(0).Term() == term {
		t.Errorf("renewals wrote %d log entries", got-index)
	}
}

// A new leader knows of renewals that the old one acknowledged, and does not start the lease afresh.
func TestLeaseTimeSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	const ttl = 60
	id := c.grant(0, ttl)
	old := c.leader()
	c.age(50 * time.Second)
	next := c.others(old)
	c.kill(old)
	now := c.leader(next...)
	left := c.left(now, id)
	if left > 11 {
		t.Errorf("after the change of leader the lease has %d s left, want at most 11", left)
	}
	if _, err := c.store(now).LeaseRenew(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if left := c.left(now, id); left < ttl-2 {
		t.Errorf("after a renewal the lease has %d s left", left)
	}
}

// age makes time pass for the leases on every member, once all have applied what the leader has.
func (c *cluster) age(d time.Duration) {
	c.t.Helper()
	c.settle()
	for _, m := range c.members {
		m.store.state.lessor.withTimes(func(lt *leaseTimes, _ time.Duration) { lt.clock += d })
	}
}

func (c *cluster) left(i int, id int64) int64 {
	c.t.Helper()
	resp, err := patiently(c.t, func() (*pb.LeaseTimeToLiveResponse, error) {
		return c.store(i).LeaseTimeToLive(c.t.Context(), &pb.LeaseTimeToLiveRequest{ID: id})
	})
	if err != nil {
		c.t.Fatalf("time to live on %d: %v", i, err)
	}
	return resp.TTL
}

// A renewal that only the old leader and one follower heard of counts for whichever of the others leads next.
func TestAcknowledgedRenewalIsNeverForgotten(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	id := c.grant(0, 60)
	old := c.leader()
	c.age(50 * time.Second)
	deaf, heard := c.others(old)[0], c.others(old)[1]
	c.wires.set(true, old, deaf)
	if _, err := c.store(old).LeaseRenew(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c.kill(old)
	now := c.leader(deaf, heard)
	if left := c.left(now, id); left < 50 {
		t.Errorf("the leader %d (deaf is %d) gives the lease %d s; an acknowledged renewal was forgotten", now, deaf, left)
	}
}

func TestWatchSeesWhatHappens(t *testing.T) {
	c := started(t, 3, nil)
	follower := c.others(c.leader())[0]
	ws := c.store(follower).Watchable().NewWatchStream()
	defer ws.Close()
	if _, err := ws.Watch(t.Context(), 0, []byte("k"), nil, 0); err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		c.put(n%3, "k", "v")
	}
	last := int64(0)
	for seen := 0; seen < 50; {
		seen += readWatch(t, ws, &last)
	}
}

// readWatch takes one response and checks that its revisions only grow.
func readWatch(t testing.TB, ws mvcc.WatchStream, last *int64) int {
	t.Helper()
	select {
	case r := <-ws.Chan():
		for _, ev := range r.Events {
			if ev.Kv.ModRevision <= *last {
				t.Fatalf("revision %d after %d", ev.Kv.ModRevision, *last)
			}
			*last = ev.Kv.ModRevision
		}
		return len(r.Events)
	case <-time.After(10 * time.Second):
		t.Fatal("the watch is silent")
		return 0
	}
}
