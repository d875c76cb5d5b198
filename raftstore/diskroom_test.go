package raftstore

import (
	"errors"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"golang.org/x/sys/unix"
)

// fakeDisk is a file system of a gibibyte with so many bytes free.
type fakeDisk struct{ free atomic.Int64 }

func (d *fakeDisk) statfs(_ string, st *unix.Statfs_t) error {
	st.Bsize, st.Blocks, st.Bavail = 1, 1<<30, uint64(d.free.Load())
	return nil
}

func withDisks(t *testing.T, n int) (*cluster, []*fakeDisk) {
	disks := make([]*fakeDisk, n)
	for i := range disks {
		disks[i] = new(fakeDisk)
		disks[i].free.Store(1 << 30)
	}
	return started(t, n, func(i int, o *Options) { o.hooks.statfs = disks[i].statfs }), disks
}

func (c *cluster) tryPut(i int, key string) error {
	_, err := c.store(i).Put(c.t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte("v")})
	return err
}

// A member alone refuses new data while its disk is nearly full, goes on to serve what it has, and takes data again when there is room.
func TestFullDiskRefusesPuts(t *testing.T) {
	c, disks := withDisks(t, 1)
	c.put(0, "a", "1")
	disks[0].free.Store(maxReserve - 1)
	waitFor(t, "puts are refused", func() bool { return errors.Is(c.tryPut(0, "b"), etcderrors.ErrNoSpace) })
	if c.get(0, "a") != "1" {
		t.Error("what is there cannot be read")
	}
	if _, err := c.store(0).DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a")}); err != nil {
		t.Errorf("what makes room is refused: %v", err)
	}
	disks[0].free.Store(1 << 30)
	waitFor(t, "puts are taken", func() bool { return c.tryPut(0, "b") == nil })
}

// A leader whose disk is nearly full gives its lead to a member that has room, and no client needs to know.
func TestFullDiskMovesTheLead(t *testing.T) {
	c, disks := withDisks(t, 3)
	was := c.leader()
	disks[was].free.Store(maxReserve - 1)
	waitFor(t, "another member leads", func() bool { n := c.leader(); return n != was })
	c.putEventually(was, "a", "1")
}

// A follower without any room takes no entries, and has them all when there is room again.
func TestFullDiskOfAFollower(t *testing.T) {
	c, disks := withDisks(t, 3)
	full := c.others(c.leader())[0]
	disks[full].free.Store(lastReserve - 1)
	waitFor(t, "the disk is seen to be full", c.store(full).disk.room.full)
	for range 20 {
		c.put(c.leader(), "a", "1")
	}
	behind := c.store(full).state.progress.current()
	if lead := c.store(c.leader()).state.progress.current(); behind >= lead {
		t.Errorf("a full follower is at %d, the leader at %d", behind, lead)
	}
	disks[full].free.Store(1 << 30)
	c.settle()
	c.sameHash()
}
