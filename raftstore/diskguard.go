package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// probePeriod is how often an idle member proves that its log disk writes.
	probePeriod = time.Second
	// stallElections is how many election timeouts a write may hang before a leader stops its heartbeats. An election follows.
	stallElections = 3
	// refusedLimit is how long the disk may refuse writes, full disks aside, before the store fails. Files of a file system that has shut down never take
	// writes again; opened anew they may.
	refusedLimit = 5 * time.Second
	// maxPinned bounds the memory in which the store's files are locked.
	maxPinned = 64 << 20
)

// diskGuard watches the log's disk and keeps the backend's file in memory.
//
// bbolt reads through a mapping of the file. If a page must come from a disk that hangs, the thread that touches it stops
// inside the kernel, Go's garbage collector waits for that thread, and with it the whole process: agent, router, all.
// Locked pages are never fetched again.
type diskGuard struct {
	store   *Store
	pattern string
	room    *diskRoom
	limit   time.Duration // refusedLimit

	mu     sync.Mutex // guards locked
	locked map[string]lockedFile
	warned bool

	full    bool          // run's: the room was too little when it last looked
	offered time.Duration // run's: when it last offered the lead, by mono
}

// lockedFile is how much of which file was locked, or was tried to be.
type lockedFile struct {
	ino  uint64
	size int64
}

func newDiskGuard(s *Store) *diskGuard {
	room := newDiskRoom(s.opts.Dir)
	if f := s.opts.hooks.statfs; f != nil {
		room.statfs = f
	}
	room.look()
	d := &diskGuard{store: s, room: room, limit: refusedLimit, locked: map[string]lockedFile{}, pattern: filepath.Join(s.opts.Dir, cacheDir, "db-*")}
	if l := s.opts.hooks.refusedLimit; l != 0 {
		d.limit = l
	}
	return d
}

// stalled says whether a write to the log has been hanging for too long, or has failed when Raft was told already that
// the entries are stored. A leader must give way then.
func (d *diskGuard) stalled() bool {
	return d.store.logs.cannotSave() || d.store.logs.stalledFor() > stallElections*d.store.opts.ElectionTimeout
}

func (d *diskGuard) run() {
	s := d.store
	d.pinFiles()
	said := false
	for s.sleep(probePeriod) {
		d.tellRoom()
		if refused := s.logs.refusedFor(); refused > d.limit {
			s.fail(fmt.Errorf("%w: it has refused every write to the log for %s; the log has the errors", ErrDisk, refused.Round(time.Second)))
			return
		}
		switch {
		case d.stalled():
			if !said {
				s.log.Error("a write to the log hangs; this member does not lead", "for", s.logs.stalledFor())
			}
			said = true
			if s.logs.pending.Load() == 0 {
				go d.probe() // writes what could not be written
			}
			continue
		case s.logs.stalledFor() == 0 && s.logs.idleFor() >= probePeriod/2:
			go d.probe() // it may hang, and nobody waits for it
		}
		said = false
		d.pinFiles()
	}
}

// tellRoom says when the room has become too little, or enough again, and has a leader offer its lead.
func (d *diskGuard) tellRoom() {
	s, tight := d.store, d.room.tight()
	switch {
	case tight && !d.full:
		s.log.Error("the disk of the store folder is nearly full; this member takes no new data", "folder", s.opts.Dir, "remedy", "make room on it")
	case !tight && d.full:
		s.log.Info("the disk of the store folder has room again")
	}
	d.full = tight
	n := s.node.Load()
	if !tight || n == nil || !n.isLeader() || len(n.voters()) < 2 || s.mono()-d.offered < offerPause && d.offered != 0 {
		return
	}
	d.offered = s.mono()
	n.raft.LeadershipTransfer() // its outcome shows in who leads
}

// offerPause is the time between two offers of a leader without room: the one that took the lead may have none either.
const offerPause = 15 * time.Second

func (d *diskGuard) probe() {
	if err := d.store.logs.probe(); err != nil && d.store.ctx.Err() == nil {
		d.store.log.Warn("the log disk does not take writes", "error", err)
	}
}

// pinFiles locks the backend's file as far as the limits allow; one that grew or was replaced is locked anew. Nothing is ever
// unlocked: that comes with the end of bbolt's mapping.
func (d *diskGuard) pinFiles() {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := int64(maxPinned)
	seen := map[string]bool{}
	paths, _ := filepath.Glob(d.pattern) // it is ours and well-formed
	for _, path := range paths {
		seen[path] = true
		if err := d.pinFile(path, &left); err != nil && !d.warned && !errors.Is(err, os.ErrNotExist) {
			d.warned = true
			d.store.log.Warn("the store's files cannot be locked in memory; a hung disk may freeze this process",
				"file", path, "error", err, "remedy", "raise the limit on locked memory (LimitMEMLOCK)")
		}
	}
	for path := range d.locked {
		if !seen[path] {
			delete(d.locked, path)
		}
	}
}

func (d *diskGuard) pinFile(path string, left *int64) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return os.NewSyscallError("stat", err)
	}
	now := lockedFile{ino: st.Ino, size: min(st.Size, *left)}
	*left -= now.size
	if d.locked[path] == now || now.size == 0 {
		return nil
	}
	at, err := mappingOf(path)
	if at == 0 || err != nil {
		return err // bbolt has not mapped it yet, or no more
	}
	d.locked[path] = now // also when locking fails, so that it is not tried every time
	return lockPages(at, now.size)
}
