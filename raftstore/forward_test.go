package raftstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// deafen cuts a member off from what others begin to say to it, and only that: it is sent no entries, and may yet ask.
func (w *wires) deafen(on bool, who int, others ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range others {
		w.cut[[2]int{o, who}] = on
	}
	for c, pair := range w.conns {
		if w.cut[pair] {
			c.Close()
			delete(w.conns, c)
		}
	}
}

// slow has nobody stand for election while a test is busy, and no request end by itself. The first leader waits for no timer.
func slow(i int, o *Options) {
	shortLog(i, o)
	o.ElectionTimeout, o.RequestTimeout = 10*time.Second, time.Hour
}

// What a client is answered does not depend on the member it asked, nor on whether that member or its leader is of the version before tags.
func TestForwardedAnswers(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		c := started(t, 3, func(_ int, o *Options) { o.hooks.noForward = old })
		lead := c.leader()
		follower := c.store(c.others(lead)[0])
		ways := map[string]func(context.Context, []byte) (applied, error){
			"the leader": c.store(lead).submit, "a follower": follower.forward, "a follower of before": follower.forwardWhole,
		}
		key := []byte("k")
		c.put(lead, "k", "v")
		c.settle()
		for way, submit := range ways {
			do := func(r *pb.InternalRaftRequest) applied {
				t.Helper()
				cmd, err := encodeEtcd(r)
				if err != nil {
					t.Fatal(err)
				}
				res, err := submit(t.Context(), cmd)
				if err != nil {
					t.Fatalf("old %t, %s: %v", old, way, err)
				}
				return res
			}
			before := c.store(lead).state.revision()
			put, err := unpack(do(&pb.InternalRaftRequest{Put: &pb.PutRequest{Key: key, Value: []byte("v"), PrevKv: true}}), &pb.PutResponse{})
			if err != nil || string(put.PrevKv.GetValue()) != "v" || put.Header.Revision != before+1 {
				t.Errorf("old %t, %s: put gave %v, %v after revision %d", old, way, put, err, before)
			}
			if way != "the leader" && follower.state.revision() < put.Header.Revision {
				t.Errorf("old %t, %s: the write is not there when it is answered", old, way)
			}
			op := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}
			txn, err := unpack(do(&pb.InternalRaftRequest{Txn: &pb.TxnRequest{Success: []*pb.RequestOp{op}}}), &pb.TxnResponse{})
			if err != nil || !txn.Succeeded || string(txn.Responses[0].GetResponseRange().Kvs[0].Value) != "v" {
				t.Errorf("old %t, %s: txn gave %v, %v", old, way, txn, err)
			}
			for want, r := range map[error]*pb.InternalRaftRequest{
				lease.ErrLeaseNotFound: {Put: &pb.PutRequest{Key: key, Lease: 77}},
				mvcc.ErrFutureRev:      {Compaction: &pb.CompactionRequest{Revision: 1 << 40}},
			} {
				if res := do(r); !errors.Is(res.err, want) {
					t.Errorf("old %t, %s: %v, want %v", old, way, res.err, want)
				}
			}
		}
	}
}

// A write whose leader dies with the entry is answered soon, as one of which nobody knows, and is not tried again.
func TestLeaderDiesWithAForwardedWrite(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	lead := c.leader()
	asked, other := c.others(lead)[0], c.others(lead)[1]
	c.put(asked, "before", "v") // the connection stands
	c.wires.deafen(true, asked, lead)
	c.wires.deafen(true, other, lead)
	log := c.store(lead).node.Load().raft
	last := log.LastIndex()
	answer := make(chan error, 1)
	go func() {
		_, err := c.store(asked).Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
		answer <- err
	}()
	waitFor(t, "the leader to have it in its log", func() bool { return log.LastIndex() > last || c.store(asked).Leader() == 0 })
	c.wires.set(true, lead, asked, other) // it says no more
	err := <-answer
	c.kill(lead)
	if !errors.Is(err, etcderrors.ErrTimeoutDueToConnectionLost) && !errors.Is(err, etcderrors.ErrTimeoutDueToLeaderFail) {
		t.Errorf("answered %v", err)
	}
	c.put(c.leader(asked, other), "after", "v")
	if got := c.get(asked, "k"); got != "" {
		t.Errorf("the write was tried again: %q", got)
	}
	c.wires.set(false, lead, asked, other)
	c.open(lead)
	c.waitReady(lead)
	if got := c.get(lead, "k"); got != "" {
		t.Errorf("an entry that was not committed: %q", got)
	}
}

// Entries that a snapshot takes the place of are never applied here, and whoever waits for one hears that its outcome is not known.
func TestSnapshotOverForwardedWrites(t *testing.T) {
	t.Parallel()
	c := started(t, 3, slow)
	lead := c.leader()
	asked, other := c.others(lead)[0], c.others(lead)[1]
	c.put(asked, "before", "v")
	c.wires.deafen(true, asked, lead, other)
	answer := make(chan error, 1)
	go func() {
		_, err := c.store(asked).Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
		answer <- err
	}()
	waitFor(t, "the write", func() bool { return c.get(lead, "k") == "v" })
	for n := range 2 * minTrailing {
		c.put(lead, "more", fmt.Sprint(n))
	}
	gen := c.store(asked).state.gen
	c.truncate(lead)
	c.wires.deafen(false, asked, lead, other)
	select {
	case err := <-answer:
		wantErr(t, err, etcderrors.ErrTimeout)
	case <-time.After(time.Minute):
		t.Fatal("the write still waits")
	}
	conn := c.store(asked).conns.ready(peerKey{id: c.store(lead).ID(), addr: c.store(lead).PeerAddr()})
	waitFor(t, "the connection to hold no call that nobody waits for", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return len(conn.calls) == 0
	})
	c.settle()
	if c.store(asked).state.gen == gen {
		t.Fatal("no snapshot was installed, so this test proved nothing")
	}
	if got := c.get(asked, "k"); got != "v" {
		t.Errorf("read %q", got)
	}
	c.put(asked, "after", "v")
}

// An entry of an earlier process has the numbers of a later one's proposals, and is none of them.
func TestEntriesOfAnEarlierProcess(t *testing.T) {
	earlier, now, none := newForwards(), newForwards(), outcome{}
	entry := func(f *forwards) *raft.Log {
		number, _ := f.add()
		return &raft.Log{Index: 7, Extensions: f.tagged(number, nil)}
	}
	theirs := entry(earlier)
	number, told := now.add()
	now.applied([]*raft.Log{theirs, {Index: 8}, {Index: 9, Extensions: []byte("x")}}, []any{none, none, none})
	select {
	case r := <-told:
		t.Fatalf("an entry of another process was taken for ours: %+v", r)
	default:
	}
	ours := &raft.Log{Index: 10, Extensions: now.tagged(number, nil)}
	now.applied([]*raft.Log{theirs, ours}, []any{none, outcome{err: lease.ErrLeaseNotFound}})
	select {
	case r := <-told:
		if r.applied == nil || r.applied.index != 10 || r.applied.err != lease.ErrLeaseNotFound {
			t.Errorf("got %+v", r.applied)
		}
	default:
		t.Error("our own entry was not told")
	}
	now.applied([]*raft.Log{ours}, []any{none}) // a second time: nobody waits any more
	if len(now.waiting) != 0 {
		t.Errorf("%d still wait", len(now.waiting))
	}
}

// A proposal that Raft does not take yet holds up those behind it and no other call.
func TestForwardedProposalsHoldUpNobodyElse(t *testing.T) {
	client, served := net.Pipe()
	order, release := make(chan string, 3), make(chan struct{})
	s := &rpcServer{
		timeout: time.Minute,
		handle:  func(context.Context, method, greeting, []byte) ([]byte, error) { return []byte("hello"), nil },
		forward: func(_ greeting, body []byte, failed func(error)) {
			<-release
			order <- string(body)
			failed(etcderrors.ErrTooManyRequests)
		},
	}
	ended := make(chan struct{})
	go func() { defer close(ended); s.serve(served, greeting{}) }()
	c := newRPCConn(client, time.Minute)
	replies := make(chan rpcReply, 3)
	for n := range uint64(3) {
		c.mu.Lock()
		c.calls[100+n] = replies
		c.mu.Unlock()
		if err := c.out.send(100+n, byte(methodForward), fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
		if b, err := c.call(t.Context(), methodHello, nil); err != nil || string(b) != "hello" {
			t.Fatalf("%s, %v", b, err)
		}
	}
	close(release)
	for n := range 3 {
		if got := <-order; got != fmt.Sprint(n) {
			t.Errorf("proposal %s came in place of %d", got, n)
		}
		wantErr(t, (<-replies).err, etcderrors.ErrTooManyRequests)
	}
	c.end()
	<-ended
}

func TestForwardedProposalsAreBounded(t *testing.T) {
	var q callQueue
	var wg sync.WaitGroup
	begun, release := make(chan struct{}), make(chan struct{})
	q.add(&wg, func() { close(begun); <-release })
	<-begun
	for range maxConcurrentCalls {
		if !q.add(&wg, func() {}) {
			t.Fatal("refused too early")
		}
	}
	if q.add(&wg, func() { t.Error("ran although it was refused") }) {
		t.Error("there is no bound")
	}
	close(release)
	wg.Wait()
}
