package raftstore

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
)

// Reads share a question that was sent after they came, and never one that was under way.
func TestReadsShareQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b indexBatches
		var asked atomic.Uint64
		answers := make(chan struct{})
		ask := func() (uint64, error) {
			n := asked.Add(1)
			<-answers
			return n, nil
		}
		var wg sync.WaitGroup
		expect := func(readers int, want uint64) {
			for range readers {
				wg.Go(func() {
					if got, err := b.get(t.Context(), ask); got != want || err != nil {
						t.Errorf("answer of question %d, %v; want question %d", got, err, want)
					}
				})
			}
			synctest.Wait()
		}
		expect(1, 1)
		expect(50, 2) // question 1 is under way
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.get(gone, ask); !errors.Is(err, context.Canceled) {
			t.Errorf("a reader that has gone: %v", err)
		}
		answers <- struct{}{}
		synctest.Wait()
		expect(50, 3)
		answers <- struct{}{}
		answers <- struct{}{}
		wg.Wait()
		expect(1, 4)
		answers <- struct{}{}
		wg.Wait()
		if n := asked.Load(); n != 4 {
			t.Errorf("%d questions", n)
		}
	})
}

// A read waits neither for a voter that says nothing nor, once that is known, for the time after which the others are asked.
func TestReadsWithAVoterThatIsSilent(t *testing.T) {
	t.Parallel()
	c := started(t, 3, func(_ int, o *Options) { o.ElectionTimeout = 2 * time.Second })
	lead := c.leader()
	s := c.store(lead)
	read := func() {
		t.Helper()
		if _, err := s.Range(t.Context(), &pb.RangeRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	}
	read()
	first := func() int {
		id := memberID(s.quorum.first(s.node.Load())[0])
		return slices.IndexFunc(c.members, func(m *member) bool { return m.store.ID() == id })
	}
	silent := first()
	c.wires.swallow(true, silent, c.others(silent)...)
	read()
	if first() == silent {
		t.Error("the silent voter is still asked first")
	}
	for range 100 {
		read()
	}
	c.wires.swallow(false, silent, c.others(silent)...)
}

// Frames of many senders arrive whole, whichever of them writes; after a failure all senders are told.
func TestFrameWriter(t *testing.T) {
	here, there := net.Pipe()
	w := newFrameWriter(here, time.Minute)
	const senders, each = 50, 100
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				if err := w.send(uint64(s), byte(i), make([]byte, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[uint64]byte{}
	for range senders * each {
		id, tag, body, err := readFrame(there)
		if err != nil {
			t.Fatal(err)
		}
		if tag != next[id] || len(body) != int(tag) {
			t.Fatalf("sender %d: frame %d with %d bytes, expected frame %d", id, tag, len(body), next[id])
		}
		next[id]++
	}
	wg.Wait()
	there.Close()
	for n := range 2 {
		if w.send(1, 0, nil) == nil {
			t.Errorf("frame %d was sent into a connection that has ended", n)
		}
	}
}

// A follower applies what is committed while the leader still does. Whoever has seen it there sees it everywhere: the index of a linearizable read
// covers it, and the leader does not answer from before it.
func TestReadsCoverWhatAFollowerHasApplied(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader()
	follower := c.others(lead)[0]
	c.put(lead, "k", "old")
	leader := c.store(lead)
	leader.state.mu.RLock() // its apply waits
	var done sync.WaitGroup
	defer done.Wait()
	defer leader.state.mu.RUnlock()
	done.Go(func() { _, _ = leader.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte("new")}) })
	before := leader.state.progress.current()
	waitFor(t, "the follower to be ahead of the leader", func() bool { return c.store(follower).state.progress.current() > before })
	index, err := leader.leaderIndex(t.Context(), leader.node.Load())
	if ahead := c.store(follower).state.progress.current(); err != nil || index < ahead {
		t.Errorf("a read waits for entry %d, %v; the follower shows entry %d already", index, err, ahead)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := leader.linearize(ctx); err == nil {
		t.Error("the leader answers from before what the follower shows")
	}
}

// A client that was told of a lease by a follower finds it there, though the leader has yet to apply its grant, and finds it gone after a revocation.
func TestLeasesCoverWhatAFollowerHasApplied(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader()
	leader, follower := c.store(lead), c.store(c.others(lead)[0])
	const id = 7
	look := func() (renewed int64, renewing error, ttl *pb.LeaseTimeToLiveResponse, asking error) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		renewed, renewing = follower.LeaseRenew(ctx, id)
		ttl, asking = follower.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
		return
	}

	leader.state.mu.RLock() // its apply waits
	_, err := follower.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id, TTL: 60})
	_, renewing, ttl, asking := look()
	leader.state.mu.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if errors.Is(renewing, lease.ErrLeaseNotFound) || renewing == nil {
		t.Errorf("the renewal of a lease that the leader does not know yet: %v", renewing)
	}
	if asking == nil {
		t.Errorf("the leader, which does not know the lease yet, says %v", ttl)
	}
	if _, err := follower.LeaseRenew(t.Context(), id); err != nil {
		t.Errorf("the renewal once the grant is applied: %v", err)
	}

	leader.state.mu.RLock()
	_, err = follower.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: id})
	renewed, renewing, ttl, asking := look()
	leader.state.mu.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if renewing == nil {
		t.Errorf("a lease that was revoked is renewed for %d s", renewed)
	}
	if asking == nil && ttl.TTL >= 0 {
		t.Errorf("a lease that was revoked has %d s left", ttl.TTL)
	}
}
