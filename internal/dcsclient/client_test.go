package dcsclient_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/internal/raftlab"
	"quorate/internal/solostore"
	"quorate/raftstore/dcs"
)

// The same operations, to a store in the process and to one across the network.
func TestOperations(t *testing.T) {
	t.Run("remote", func(t *testing.T) {
		operations(t, newClient(t, nil, newHost(t, newStore(t))))
	})
	t.Run("in process", func(t *testing.T) {
		h := newHost(t, newStore(t))
		operations(t, newClient(t, func(o *dcsclient.Options) { o.Local = h.server.Conn() }))
	})
}

func operations(t *testing.T, c dcsclient.Client) {
	ctx := testContext(t)
	put(t, c, "/service/a/config", "{}")
	put(t, c, "/service/b/config", "other scope")
	lease, err := c.Grant(ctx, 59500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	acquire := dcs.Txn{If: []dcs.Compare{dcs.Absent("/service/a/leader")}, Then: []dcs.Op{dcs.Put("/service/a/leader", "n1", lease)}}
	won, err := c.Commit(ctx, acquire)
	if err != nil || !won.Succeeded || won.ClusterID != solostore.ClusterID {
		t.Fatalf("acquire: %+v, %v", won, err)
	}
	lost, err := c.Commit(ctx, acquire)
	if err != nil || lost.Succeeded || lost.Revision != won.Revision {
		t.Fatalf("acquire twice: %+v, %v", lost, err)
	}

	before := boottime.Now()
	snap, err := c.Load(ctx, "/service/a/")
	if err != nil {
		t.Fatal(err)
	}
	if snap.ClusterID != solostore.ClusterID || snap.Revision != won.Revision || snap.Term == 0 || snap.ReadAt.Before(before) {
		t.Errorf("snapshot: %+v", snap)
	}
	if len(snap.KVs) != 2 || snap.KVs[0].Key != "/service/a/config" || snap.KVs[1].Key != "/service/a/leader" {
		t.Fatalf("keys: %+v", snap.KVs)
	}
	leader := snap.KVs[1]
	if string(leader.Value) != "n1" || leader.Lease != lease || leader.CreateRevision != won.Revision || leader.Version != 1 {
		t.Errorf("leader: %+v", leader)
	}

	ttl, sent, err := c.KeepAlive(ctx, lease)
	if err != nil || ttl != time.Minute || sent.Before(before) {
		t.Errorf("keep-alive: %v, %v, %v", ttl, sent, err)
	}
	stale := dcs.Txn{If: []dcs.Compare{dcs.Unchanged("/service/a/leader", leader.ModRevision-1)}, Then: []dcs.Op{dcs.Delete("/service/a/leader")}}
	if r, err := c.Commit(ctx, stale); err != nil || r.Succeeded {
		t.Errorf("a stale compare: %+v, %v", r, err)
	}
	for _, holds := range []dcs.Compare{
		dcs.CreatedAt("/service/a/leader", leader.CreateRevision), dcs.Holds("/service/a/leader", "n1"),
		dcs.Unchanged("/service/a/leader", leader.ModRevision), dcs.Unchanged("/service/a/none", 0),
	} {
		if r, err := c.Commit(ctx, dcs.Txn{If: []dcs.Compare{holds}}); err != nil || !r.Succeeded {
			t.Errorf("%+v: %+v, %v", holds, r, err)
		}
	}
	if r, err := c.Commit(ctx, dcs.Txn{If: []dcs.Compare{dcs.Holds("/service/a/none", "")}}); err != nil || r.Succeeded {
		t.Errorf("the content of no key: %+v, %v", r, err)
	}
	if err := c.Revoke(ctx, lease); err != nil {
		t.Error(err)
	}
	if err := c.Revoke(ctx, lease); err != nil {
		t.Errorf("revoke twice: %v", err)
	}
	if _, _, err := c.KeepAlive(ctx, lease); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
		t.Errorf("keep-alive of a revoked lease: %v", err)
	}
	if _, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("k", "v", lease)}}); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
		t.Errorf("put under a revoked lease: %v", err)
	}
	if _, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{{Key: "/service/a/", Delete: true, Prefix: true}}}); err != nil {
		t.Error(err)
	}
	if snap, err = c.Load(ctx, "/service/"); err != nil || len(snap.KVs) != 1 {
		t.Errorf("after the delete by prefix: %+v, %v", snap, err)
	}
	if _, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("", "v", 0)}}); !errors.Is(err, dcsclient.ErrRejected) {
		t.Errorf("put without key: %v", err)
	}
}

// A list, and a watch from the revision after it, see every change once.
func TestWatch(t *testing.T) {
	c := newClient(t, nil, newHost(t, newStore(t)))
	ctx := testContext(t)
	put(t, c, "/x/0", "v")
	snap, err := c.Load(ctx, "/x/")
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	for i := range n {
		put(t, c, fmt.Sprintf("/x/%d", i%5), "v")
	}
	updates := c.Watch(ctx, "/x/", snap.Revision+1)
	for i := range n {
		put(t, c, fmt.Sprintf("/x/%d", i%5), "v")
	}
	put(t, c, "/y", "v")
	next := snap.Revision + 1
	for next <= snap.Revision+2*n {
		u := <-updates
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		for _, e := range u.Events {
			if e.Type != dcsclient.Put || e.KV.ModRevision != next {
				t.Fatalf("got %+v, want a put at %d", e, next)
			}
			next++
		}
		if u.Revision != next-1 {
			t.Fatalf("update says %d after events up to %d", u.Revision, next-1)
		}
	}
	if _, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Delete("/x/3")}}); err != nil {
		t.Fatal(err)
	}
	if u := <-updates; len(u.Events) != 1 || u.Events[0].Type != dcsclient.Delete || u.Events[0].KV.Key != "/x/3" {
		t.Errorf("got %+v, want the delete", u)
	}
}

func TestWatchCompacted(t *testing.T) {
	h := newHost(t, newStore(t))
	c := newClient(t, nil, h)
	ctx := testContext(t)
	put(t, c, "k", "1")
	rev := put(t, c, "k", "2").Revision
	if _, err := h.store.Compact(ctx, &pb.CompactionRequest{Revision: rev}); err != nil {
		t.Fatal(err)
	}
	updates := c.Watch(ctx, "k", rev-1)
	if u := <-updates; !errors.Is(u.Err, dcsclient.ErrCompacted) {
		t.Errorf("got %+v, want ErrCompacted", u)
	}
	if u, ok := <-updates; ok {
		t.Errorf("after the end: %+v", u)
	}
}

// A host that has no leader is passed over, for every operation, and nothing is done twice.
func TestFailoverOnNoLeader(t *testing.T) {
	store := newStore(t)
	bad, good := newHost(t, newStore(t)), newHost(t, store)
	bad.store.SetLeader(0)
	c := newClient(t, nil, bad, good)
	ctx := testContext(t)
	if r := put(t, c, "k", "1"); r.Revision != 2 {
		t.Errorf("revision %d, want 2", r.Revision)
	}
	c = newClient(t, nil, bad, good)
	if _, err := c.Load(ctx, "k"); err != nil {
		t.Error(err)
	}
	c = newClient(t, nil, bad, good)
	if _, err := c.Grant(ctx, time.Minute); err != nil {
		t.Error(err)
	}
	c = newClient(t, nil, bad, good)
	watchCtx := testContext(t)
	updates := c.Watch(watchCtx, "k", 2)
	if u := <-updates; u.Err != nil || len(u.Events) != 1 {
		t.Errorf("watch: %+v", u)
	}
	good.store.SetLeader(0)
	if _, err := c.Load(ctx, "k"); !errors.Is(err, dcsclient.ErrUnavailable) {
		t.Errorf("no host with a leader: %v", err)
	}
	_, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("k", "2", 0)}})
	if !errors.Is(err, dcsclient.ErrUnavailable) || errors.Is(err, dcsclient.ErrUnknownOutcome) {
		t.Errorf("a commit that nobody took: %v", err)
	}
	if u := <-updates; !errors.Is(u.Err, dcsclient.ErrUnavailable) {
		t.Errorf("the watch of a leader that is lost: %+v", u)
	}
}

// A host whose process is gone is passed over; when it is back it serves again.
func TestFailoverOnDeadHost(t *testing.T) {
	store := newStore(t)
	a, b := newHost(t, store), newHost(t, store)
	c := newClient(t, nil, a, b)
	ctx := testContext(t)
	put(t, c, "k", "1")
	updates := c.Watch(ctx, "k", 3)
	a.relay.stop()
	if _, err := c.Load(ctx, "k"); err != nil { // a read is repeated elsewhere, a commit on its way into the break is not
		t.Error(err)
	}
	if r := put(t, c, "k", "2"); r.Revision != 3 {
		t.Errorf("revision %d, want 3", r.Revision)
	}
	b.relay.stop()
	if _, err := c.Load(ctx, "k"); !errors.Is(err, dcsclient.ErrUnavailable) {
		t.Errorf("read without hosts: %v", err)
	}
	_, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("k", "3", 0)}})
	if !errors.Is(err, dcsclient.ErrUnavailable) {
		t.Errorf("no host: %v", err)
	}
	for u := range updates {
		if u.Err != nil && !errors.Is(u.Err, dcsclient.ErrUnavailable) {
			t.Errorf("the watch: %v", u.Err)
		}
	}
	a.relay.start()
	raftlab.Eventually(t, "the host is used again", func() bool {
		_, err := c.Load(ctx, "k")
		return err == nil
	})
}

// A commit whose answer is lost is of unknown outcome, and it is not sent to another host.
func TestUnknownOutcome(t *testing.T) {
	store := newStore(t)
	a, b := newHost(t, store), newHost(t, store)
	c := newClient(t, func(o *dcsclient.Options) { o.RequestTimeout = 300 * time.Millisecond }, a)
	put(t, c, "k", "1")
	if err := c.SetEndpoints([]string{"http://" + a.addr(), "http://" + b.addr()}); err != nil {
		t.Fatal(err)
	}
	a.relay.muteAnswers()
	_, err := c.Commit(testContext(t), dcs.Txn{Then: []dcs.Op{dcs.Put("k", "2", 0)}})
	if !errors.Is(err, dcsclient.ErrUnknownOutcome) {
		t.Fatalf("got %v, want ErrUnknownOutcome", err)
	}
	other := newClient(t, nil, b)
	raftlab.Eventually(t, "the commit is applied", func() bool {
		snap, err := other.Load(testContext(t), "k")
		return err == nil && string(snap.KVs[0].Value) == "2" && snap.KVs[0].Version == 2
	})
}

func TestStoreTimeoutIsUnknownOutcome(t *testing.T) {
	for _, cause := range []error{
		etcderrors.ErrTimeout, etcderrors.ErrTimeoutDueToLeaderFail, etcderrors.ErrLeaderChanged, etcderrors.ErrStopped,
		etcderrors.ErrNoSpace, errors.New("something new"),
	} {
		a, b := newHost(t, newStore(t)), newHost(t, newStore(t))
		c := newClient(t, nil, a, b)
		raftlab.Eventually(t, "connected", func() bool { _, err := c.Load(testContext(t), "k"); return err == nil })
		a.store.SetError(cause)
		b.store.SetError(cause)
		if _, err := c.Commit(testContext(t), dcs.Txn{Then: []dcs.Op{dcs.Put("k", "v", 0)}}); !errors.Is(err, dcsclient.ErrUnknownOutcome) {
			t.Errorf("%v: got %v, want ErrUnknownOutcome", cause, err)
		}
	}
}

// One hung host costs a keep-alive nothing, and gets one request, not a queue.
func TestKeepAliveAroundHungHost(t *testing.T) {
	store := newStore(t)
	a, b := newHost(t, store), newHost(t, store)
	c := newClient(t, nil, a, b)
	ctx := testContext(t)
	lease, err := c.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	raftlab.Eventually(t, "both hosts answer", func() bool { _, _, err := c.KeepAlive(ctx, lease); return err == nil })
	a.relay.cut()
	last := boottime.Instant(0)
	for range 20 {
		_, sent, err := c.KeepAlive(ctx, lease)
		if err != nil {
			t.Fatal(err)
		}
		if !sent.After(last) {
			t.Fatalf("the answer is to a request of %d, after one of %d", sent, last)
		}
		last = sent
	}
}

// A watch on a host that was cut off ends as soon as a call to that host has run into its time limit.
func TestCutHostEndsWatch(t *testing.T) {
	store := newStore(t)
	a, b := newHost(t, store), newHost(t, store)
	c := newClient(t, func(o *dcsclient.Options) { o.RequestTimeout = 500 * time.Millisecond }, a)
	put(t, c, "k", "1")
	updates := c.Watch(testContext(t), "k", 2)
	if u := <-updates; u.Err != nil {
		t.Fatal(u.Err)
	}
	if err := c.SetEndpoints([]string{"http://" + a.addr(), "http://" + b.addr()}); err != nil {
		t.Fatal(err)
	}
	a.relay.cut()
	if _, err := c.Load(testContext(t), "k"); err != nil {
		t.Errorf("the other host serves: %v", err)
	}
	if u := <-updates; !errors.Is(u.Err, dcsclient.ErrUnavailable) {
		t.Errorf("the watch: %+v", u)
	}
}

func TestClose(t *testing.T) {
	h := newHost(t, newStore(t))
	c := newClient(t, nil, h)
	put(t, c, "k", "1")
	updates := c.Watch(testContext(t), "k", 0)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for u := range updates {
		t.Errorf("after Close: %+v", u)
	}
	if _, err := c.Load(testContext(t), "k"); !errors.Is(err, dcsclient.ErrClosed) {
		t.Errorf("Load after Close: %v", err)
	}
	if _, _, err := c.KeepAlive(testContext(t), 1); !errors.Is(err, dcsclient.ErrClosed) {
		t.Errorf("KeepAlive after Close: %v", err)
	}
}

func TestNoHosts(t *testing.T) {
	c := newClient(t, nil)
	if _, err := c.Load(testContext(t), "k"); !errors.Is(err, dcsclient.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	h := newHost(t, newStore(t))
	if err := c.SetEndpoints([]string{h.addr()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Load(testContext(t), "k"); err != nil {
		t.Errorf("with a host: %v", err)
	}
}

// While a host answers, the others are left alone: three times the work for every renewal is most of what a cluster at rest does.
func TestKeepAliveAsksOneHost(t *testing.T) {
	store := newStore(t)
	a, b := newHost(t, store), newHost(t, store)
	c := newClient(t, nil, a, b)
	ctx := testContext(t)
	lease, err := c.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	raftlab.Eventually(t, "both hosts are connected", func() bool { return a.relay.carried() > 0 && b.relay.carried() > 0 })
	first, second := a.relay.carried(), b.relay.carried()
	for range 50 {
		if _, _, err := c.KeepAlive(ctx, lease); err != nil {
			t.Fatal(err)
		}
	}
	first, second = a.relay.carried()-first, b.relay.carried()-second
	if more, less := max(first, second), min(first, second); less > more/2 {
		t.Errorf("50 renewals took %d bytes to one host and %d to the other", more, less)
	}
}
