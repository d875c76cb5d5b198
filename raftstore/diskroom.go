package raftstore

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that is full ends a member whose backend cannot write: that is etcd's package's way. So the member stops to grow its data while there is
// still room for what is on its way. A leader refuses puts by NOSPACE and offers its lead to others, a follower refuses entries, which the others do
// without. Each goes on by itself when there is room again.

// errNoRoom is a follower's answer to entries.
var errNoRoom = errors.New("raftstore: the disk of the store folder is nearly full; the member follows again when there is room")

// The room that is kept, a twentieth of the file system within these bounds: for the backend's transactions under way, and a segment of the log.
const (
	minReserve = 2 << 20
	maxReserve = 32 << 20
	// lastReserve is the least of the quarter that a follower keeps. What is in between is for the entries of a leader that has room.
	lastReserve = 1 << 20
)

// roomPeriod is how long a look at the file system is good for.
const roomPeriod = 100 * time.Millisecond

// diskRoom says whether the file system of a folder has room left.
type diskRoom struct {
	dir string
	// statfs is unix.Statfs; tests put theirs.
	statfs func(string, *unix.Statfs_t) error
	start  time.Time
	looked atomic.Int64 // time since start, in ns
	low    atomic.Bool
	dire   atomic.Bool
}

func newDiskRoom(dir string) *diskRoom {
	return &diskRoom{dir: dir, statfs: unix.Statfs, start: time.Now()}
}

// look looks anew, unless it did so a moment ago. It is called beside the writes, which would wait for a disk that hangs too.
func (r *diskRoom) look() {
	now := int64(time.Since(r.start)) + 1
	if last := r.looked.Load(); last != 0 && now-last < int64(roomPeriod) || !r.looked.CompareAndSwap(last, now) {
		return
	}
	var st unix.Statfs_t
	if err := r.statfs(r.dir, &st); err != nil {
		return
	}
	free, total := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize
	reserve := min(max(total/20, minReserve), maxReserve)
	r.low.Store(free < reserve)
	r.dire.Store(free < max(reserve/4, lastReserve))
}

// full says whether there is not even room for what others have decided.
func (r *diskRoom) full() bool { return r.dire.Load() }

// tight says whether there is too little room for new data.
func (r *diskRoom) tight() bool { return r.low.Load() }
