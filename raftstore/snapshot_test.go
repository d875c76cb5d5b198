package raftstore

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// shortLog has members keep no more of the log behind a snapshot than they must.
func shortLog(_ int, o *Options) { o.TrailingBytes, o.hooks.snapshotBytes = 1, 1<<40 }

// truncate makes a member with a short log take a snapshot and forget the log before it, so that whoever lags by more than
// minTrailing entries needs the snapshot.
func (c *cluster) truncate(i int) {
	c.t.Helper()
	n := c.store(i).node.Load()
	waitFor(c.t, "a short log", func() bool { return n.raft.ReloadableConfig().TrailingLogs == minTrailing })
	if err := n.raft.Snapshot().Error(); err != nil {
		c.t.Fatal(err)
	}
}

// A member that was away so long that its entries are gone gets a snapshot, and its watch has no gap and no repeat.
func TestWatchOverASnapshotInstall(t *testing.T) {
	c := started(t, 3, shortLog)
	lead := c.leader()
	away, other := c.others(lead)[0], c.others(lead)[1]
	ws := c.store(away).Watchable().NewWatchStream()
	defer ws.Close()
	if _, err := ws.Watch(t.Context(), 0, []byte("k"), nil, 0); err != nil {
		t.Fatal(err)
	}
	seen, last := 0, int64(0)
	for range 10 {
		c.put(lead, "k", "before")
	}
	for seen < 10 {
		seen += readWatch(t, ws, &last)
	}
	c.wires.set(true, away, lead, other)
	for n := range 200 {
		c.putEventually(lead, "k", fmt.Sprint("away", n))
	}
	id := c.grant(lead, 100)
	c.putLeased(lead, "leased", id)
	c.truncate(lead)
	c.truncate(other)
	gen := c.store(away).state.gen
	c.wires.set(false, away, lead, other)
	for seen < 210 {
		seen += readWatch(t, ws, &last)
	}
	for n := range 10 {
		c.putEventually(lead, "k", fmt.Sprint("after", n))
	}
	for seen < 220 {
		seen += readWatch(t, ws, &last)
	}
	if seen != 220 {
		t.Errorf("saw %d events, want 220", seen)
	}
	if c.store(away).state.gen == gen {
		t.Fatal("no snapshot was installed, so this test proved nothing")
	}
	waitFor(t, "the leased key", func() bool { return c.get(away, "leased") == "v" })
	if got := c.store(away).state.lessor.keysOf(id); len(got) != 1 {
		t.Errorf("keys of the lease after the snapshot: %q", got)
	}
	c.sameHash()
}

// sameHash compares all members' data at one revision.
func (c *cluster) sameHash() {
	c.t.Helper()
	c.settle()
	want := uint32(0)
	for i, m := range c.members {
		resp, err := m.store.HashKV(c.t.Context(), 0)
		if err != nil {
			c.t.Fatal(err)
		}
		if i > 0 && resp.Hash != want {
			c.t.Errorf("member %d has hash %x, member 0 has %x", i, resp.Hash, want)
		}
		want = resp.Hash
	}
}

// A member that was sent a snapshot has entries from before it and entries from after it. It starts again with that.
func TestRestartAfterASnapshotInstall(t *testing.T) {
	t.Parallel()
	c := started(t, 3, shortLog)
	lead := c.leader()
	away, other := c.others(lead)[0], c.others(lead)[1]
	c.put(lead, "k", "before")
	c.settle()
	gen := c.store(away).state.gen
	c.wires.set(true, away, lead, other)
	for n := range 100 {
		c.putEventually(lead, "k", fmt.Sprint("away", n))
	}
	c.truncate(lead)
	c.truncate(other)
	c.wires.set(false, away, lead, other)
	c.put(away, "k", "after")
	c.settle()
	if c.store(away).state.gen == gen {
		t.Fatal("no snapshot was installed, so this test proved nothing")
	}
	c.kill(away)
	c.open(away)
	c.waitReady(away)
	if got := c.get(away, "k"); got != "after" {
		t.Errorf("read %q", got)
	}
}

func TestJoinerBySnapshot(t *testing.T) {
	c := started(t, 1, shortLog)
	for n := range 100 {
		c.put(0, fmt.Sprint("k", n), "v")
	}
	if _, err := c.store(0).Compact(t.Context(), &pb.CompactionRequest{Revision: 50, Physical: true}); err != nil {
		t.Fatal(err)
	}
	c.truncate(0)
	i := c.add(1)
	c.open(i)
	c.waitReady(i)
	if got := c.get(i, "k99"); got != "v" {
		t.Errorf("read %q", got)
	}
	if c.store(i).state.gen == 0 {
		t.Error("no snapshot was installed")
	}
	c.sameHash()
}

func TestRestartFromASnapshot(t *testing.T) {
	t.Parallel()
	c := started(t, 1, shortLog)
	id := c.grant(0, 100)
	c.putLeased(0, "leased", id)
	c.truncate(0)
	rev := c.put(0, "k", "v").Header.Revision
	c.kill(0)
	c.open(0)
	c.waitReady(0)
	if got := c.store(0).Header().Revision; got != rev {
		t.Errorf("revision %d, want %d", got, rev)
	}
	ttl, grant, ok := c.store(0).state.lessor.ttlOf(id)
	if !ok || ttl != 100 || grant == 0 {
		t.Errorf("lease after the restart: ttl %d, grant %d, %v", ttl, grant, ok)
	}
}

// The log is cut by bytes: large entries bring a snapshot about long before there are many.
func TestLargeEntriesBringASnapshot(t *testing.T) {
	c := started(t, 1, func(_ int, o *Options) { o.hooks.snapshotBytes, o.TrailingBytes = 64<<10, 64<<10 })
	big := string(bytes.Repeat([]byte("x"), 1<<10))
	for n := range 300 {
		c.put(0, fmt.Sprint("k", n%5), big)
	}
	waitFor(t, "a snapshot and a short log", func() bool {
		list, err := c.store(0).node.Load().snaps.List()
		return err == nil && len(list) > 0 && c.store(0).logs.bytesAfter(0) < 200<<10
	})
}

// What Maintenance.Snapshot streams is a bbolt file that etcd's tools read, without the free pages.
func TestSnapshotIsACompactBoltFile(t *testing.T) {
	c := started(t, 1, nil)
	big := string(bytes.Repeat([]byte("x"), 10<<10))
	for range 200 {
		c.put(0, "k", big)
	}
	rev := c.store(0).Header().Revision
	if _, err := c.store(0).Compact(t.Context(), &pb.CompactionRequest{Revision: rev, Physical: true}); err != nil {
		t.Fatal(err)
	}
	size, r, err := c.store(0).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := filepath.Join(t.TempDir(), "snap")
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("read %d of %d bytes: %v", len(b), size, err)
	}
	if size > 200<<10 {
		t.Errorf("a store of one 10 KiB key makes a snapshot of %d bytes", size)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte("key")) == nil || tx.Bucket([]byte("meta")) == nil {
			t.Error("etcd's buckets are missing")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
