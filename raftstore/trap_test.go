package raftstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func openTestLog(t *testing.T, path string, before func() error) (*logStore, *error) {
	t.Helper()
	var failed error
	s, err := openLogStore(path, logOptions{
		log: testLogger(t), fail: func(err error) { failed = errors.Join(failed, err) }, before: before,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, &failed
}

// A crash between the two halves of a vote leaves the old vote whole (hashicorp/raft#661).
func TestVoteIsAtomic(t *testing.T) {
	path := t.TempDir()
	vote := func(s *logStore, term uint64, who string) {
		t.Helper()
		if err := errors.Join(s.SetUint64(keyLastVoteTerm, term), s.Set(keyLastVoteCand, []byte(who))); err != nil {
			t.Fatal(err)
		}
	}
	check := func(s *logStore, term uint64, who string) {
		t.Helper()
		gotTerm, err1 := s.GetUint64(keyLastVoteTerm)
		gotWho, err2 := s.Get(keyLastVoteCand)
		if err1 != nil || err2 != nil || gotTerm != term || string(gotWho) != who {
			t.Fatalf("vote is %d for %q (%v, %v), want %d for %q", gotTerm, gotWho, err1, err2, term, who)
		}
	}
	s, _ := openTestLog(t, path, nil)
	if _, err := s.Get(keyLastVoteCand); err == nil || err.Error() != "not found" {
		t.Errorf("no vote yet: %v; Raft compares the text", err)
	}
	vote(s, 7, "a")
	check(s, 7, "a")
	if err := s.SetUint64(keyLastVoteTerm, 8); err != nil { // and here the process dies
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openTestLog(t, path, nil)
	check(s, 7, "a")
	vote(s, 8, "b")
	check(s, 8, "b")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

// When the term cannot be saved Raft would panic; the store fails, and the goroutine ends, instead.
func TestTermThatCannotBeSavedFailsTheStore(t *testing.T) {
	broken := errors.New("no space left on device")
	s, failed := openTestLog(t, t.TempDir(), func() error { return broken })
	defer s.close()
	close(s.closing) // no pauses between the tries
	returned := false
	var wg sync.WaitGroup
	wg.Go(func() {
		s.SetUint64(keyCurrentTerm, 5)
		returned = true
	})
	wg.Wait()
	if returned || !errors.Is(*failed, ErrDisk) || !errors.Is(*failed, broken) {
		t.Errorf("returned %v, failed with %v", returned, *failed)
	}
}

func TestLogSizes(t *testing.T) {
	var l logSizes
	for i := uint64(10); i < 20; i++ {
		l.append(i, 100)
	}
	l.append(15, 7) // replaces 15 and all after it
	if l.holds(16) || !l.holds(15) || l.after(13) != 107 {
		t.Errorf("after a replacement: %+v", l)
	}
	for bytes, want := range map[int64]uint64{6: 0, 7: 1, 106: 1, 107: 2, 506: 5, 507: 6} {
		if n, all := l.tail(bytes); n != want || all != (want == 6) {
			t.Errorf("%d bytes hold %d entries, %v", bytes, n, all)
		}
	}
	l.delete(10, 12)
	if l.holds(12) || !l.holds(13) || l.after(0) != 207 {
		t.Errorf("after a deletion at the start: %+v", l)
	}
	l.delete(14, 15)
	if !l.holds(13) || l.holds(14) {
		t.Errorf("after a deletion at the end: %+v", l)
	}
	l.delete(1, 99)
	l.append(50, 1)
	if l.holds(13) || !l.holds(50) {
		t.Errorf("after a deletion of all: %+v", l)
	}
}

// brake is a disk that can be made to hang or to fail.
type brake struct {
	hang gate
	fail atomic.Bool
}

// gate holds up who comes to it while it is shut.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil: open
}

// Store shuts the gate, or opens it.
func (g *gate) Store(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.open == nil:
		g.open = make(chan struct{})
	case !shut && g.open != nil:
		close(g.open)
		g.open = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		<-open
	}
}

func (b *brake) write() error {
	b.hang.pass()
	if b.fail.Load() {
		return errors.New("input/output error")
	}
	return nil
}

// A leader whose disk hangs gives leadership up before anybody writes (hashicorp/raft#503).
func TestLeaderWithAHungDiskIsReplaced(t *testing.T) {
	t.Parallel()
	brakes := make([]brake, 3)
	// Timers longer than the library's period of telling what is committed: that message counts as a heartbeat too.
	c := started(t, 3, func(i int, o *Options) { o.hooks.beforeWrite, o.ElectionTimeout = brakes[i].write, time.Second })
	c.put(0, "k", "v")
	old := c.leader()
	brakes[old].hang.Store(true)
	defer brakes[old].hang.Store(false)
	now := c.leader(c.others(old)...)
	c.put(now, "k", "w")
	if got := c.get(now, "k"); got != "w" {
		t.Errorf("read %q", got)
	}
	brakes[old].hang.Store(false)
	c.readsEventually(old, "k", "w") // as a follower
}

// A store whose disk hangs can be closed: its owner goes on without it.
func TestCloseWithAHungDisk(t *testing.T) {
	var b brake
	c := started(t, 1, func(_ int, o *Options) { o.hooks.beforeWrite, o.ElectionTimeout = b.write, 100*time.Millisecond })
	s := c.store(0)
	c.members[0].store = nil
	b.hang.Store(true)
	defer b.hang.Store(false)
	go s.Put(t.Context(), &pb.PutRequest{Key: []byte("k")})
	waitFor(t, "the write to hang", func() bool { return s.logs.stalledFor() > 0 })
	if err := s.Close(); err == nil {
		t.Error("Close says that all is well")
	}
}

// A disk that fails for a while costs leadership, not the process, and nothing afterwards.
func TestDiskErrorsPass(t *testing.T) {
	t.Parallel()
	brakes := make([]brake, 3)
	// How long an election takes is up to the machine, so the store's patience must not end before this test's own.
	c := started(t, 3, func(i int, o *Options) { o.hooks.beforeWrite, o.hooks.refusedLimit = brakes[i].write, time.Hour })
	old := c.leader()
	brakes[old].fail.Store(true)
	c.deposed(old)
	brakes[old].fail.Store(false)
	c.putEventually(c.leader(c.others(old)...), "k", "w")
	c.readsEventually(old, "k", "w")
}

// A disk that goes on failing ends the store, which closes in time and loses nothing: opened again on a disk that writes, it serves.
func TestDiskErrorsThatStayEndTheStore(t *testing.T) {
	t.Parallel()
	brakes := make([]brake, 3)
	c := started(t, 3, func(i int, o *Options) { o.hooks.beforeWrite, o.hooks.refusedLimit = brakes[i].write, time.Millisecond })
	c.put(0, "k", "v")
	old := c.leader()
	failed := c.store(old).Failed()
	brakes[old].fail.Store(true)
	select {
	case err := <-failed:
		if !errors.Is(err, ErrDisk) {
			t.Errorf("failed with %v", err)
		}
	case <-time.After(90 * time.Second):
		t.Fatal("the store bears its disk")
	}
	c.kill(old) // checks that closing it ends
	c.putEventually(c.leader(c.others(old)...), "k", "w")
	brakes[old].fail.Store(false)
	c.open(old)
	c.readsEventually(old, "k", "w")
}

// deposed waits until another member leads than one whose disk fails. Entries make it notice.
func (c *cluster) deposed(old int) {
	c.t.Helper()
	waitFor(c.t, "another leader", func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 100*time.Millisecond)
		defer cancel()
		c.store(c.others(old)[0]).Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
		return slices.ContainsFunc(c.others(old), func(i int) bool { return c.store(i).IsLeader() })
	})
}

// readsEventually waits until a member reads a value.
func (c *cluster) readsEventually(i int, key, want string) {
	c.t.Helper()
	waitFor(c.t, fmt.Sprintf("member %d to read %s=%s", i, key, want), func() bool {
		resp, err := c.store(i).Range(c.t.Context(), &pb.RangeRequest{Key: []byte(key)})
		return err == nil && len(resp.Kvs) == 1 && string(resp.Kvs[0].Value) == want
	})
}

// A log that conflicts with a snapshot the leader sent is put right by reopening (hashicorp/raft#697).
func TestLogThatConflictsWithTheSnapshotIsCleared(t *testing.T) {
	c := started(t, 3, nil)
	for range 20 {
		c.put(0, "k", "v")
	}
	follower := c.others(c.leader())[0]
	s := c.store(follower)
	if err := s.node.Load().raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	list, err := s.node.Load().snaps.List()
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	c.kill(follower)
	logs, _ := openTestLog(t, s.opts.Dir, nil)
	if err := logs.StoreLogs([]*raft.Log{{Index: list[0].Index, Term: list[0].Term + 7, Type: raft.LogNoop}}); err != nil {
		t.Fatal(err)
	}
	if err := logs.close(); err != nil {
		t.Fatal(err)
	}
	c.put(c.leader(), "k", "w")
	c.open(follower)
	c.waitReady(follower)
	if got := c.get(follower, "k"); got != "w" {
		t.Errorf("read %q", got)
	}
}

// The store's library calls Fatal and Panic where it cannot go on. Neither may end the process.
func TestFatalOfEtcdsPackagesEndsTheStoreOnly(t *testing.T) {
	var said []string
	lg := newZap(testLogger(t), func(msg string) { said = append(said, msg) })
	for _, f := range []func(string){func(m string) { lg.Fatal(m) }, func(m string) { lg.Panic(m) }} {
		returned := false
		var wg sync.WaitGroup
		wg.Go(func() { f("failed to commit tx"); returned = true })
		wg.Wait()
		if returned {
			t.Error("the caller went on")
		}
	}
	if len(said) != 2 {
		t.Errorf("told of %q", said)
	}
}

func TestGreetingIsBounded(t *testing.T) {
	if _, err := readGreeting(bytes.NewReader([]byte{protoRPC, 255})); !errors.Is(err, errRequestOutOfBounds) {
		t.Errorf("a greeting of 255 bytes: %v", err)
	}
	if _, _, _, err := readFrame(bytes.NewReader(appendFrame(nil, 1, 1, nil)[:4])); err == nil {
		t.Error("half a frame was read")
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if _, _, _, err := readFrame(bytes.NewReader(huge)); !errors.Is(err, errRequestOutOfBounds) {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}

// Members of another cluster are turned away at the door, whatever they say in Raft.
func TestStrangersAreRefused(t *testing.T) {
	c := started(t, 1, nil)
	s := c.store(0)
	id := s.identity()
	for _, g := range []greeting{
		{Proto: protoRaft, Cluster: id.ClusterID + 1, To: id.ID},
		{Proto: protoRaft, Cluster: 0, To: id.ID},
		{Proto: protoRaft, Cluster: id.ClusterID, To: id.ID + 1},
		{Proto: protoRPC, Cluster: id.ClusterID, To: id.ID + 1},
	} {
		if s.admitGreeting(g) == nil {
			t.Errorf("admitted %+v", g)
		}
	}
	if err := s.admitGreeting(greeting{Proto: protoRaft, Cluster: id.ClusterID, To: id.ID}); err != nil {
		t.Error(err)
	}
	if _, err := s.handle(t.Context(), methodPropose, greeting{Cluster: id.ClusterID + 1}, nil); !errors.Is(err, errNotMember) {
		t.Errorf("a stranger's proposal: %v", err)
	}
}

// What is no message of Raft ends the connection that it came by, and nothing else: not the process, the term or the leadership.
func TestGarbageForRaft(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	lead := c.leader()
	other := c.others(lead)[0]
	term := c.store(lead).Term()
	d := &dialer{dial: c.members[other].opts.Dial, timeout: time.Second}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		g := greeting{Proto: protoRaft, Cluster: c.store(lead).ClusterID(), From: c.store(other).ID(), To: c.store(lead).ID()}
		conn, err := d.open(t.Context(), c.store(lead).PeerAddr(), g)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1+rnd.IntN(4096))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		b[0] = byte(n % 8) // the kinds of messages, and some that are none
		if n%3 == 0 && len(b) > 5 {
			copy(b[1:], []byte{0x8f, 0xdd, 0xff, 0xff, 0xff}) // a map of a list of four thousand million
		}
		_, _ = conn.Write(b)
		must(t, conn.Close())
	}
	c.put(lead, "k", "v")
	if now := c.store(lead).Term(); now != term || !c.store(lead).IsLeader() {
		t.Errorf("term %d, it was %d", now, term)
	}
}
