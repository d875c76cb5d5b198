package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"quorate/raftstore/wal"
)

// logDir is the Raft log, with the votes and the term, within the store folder.
const logDir = "log"

// logStore is the log on disk with guards. hashicorp/raft panics when it cannot save its term or read back a committed entry,
// which would take the agent and its database along; here the store fails instead (fail), and the goroutine of Raft that
// was about to panic ends. Every write is watched: see stalled.
//
// A leader's own write of an entry and the messages that carry it to the followers go at the same time: see StoreLogs.
type logStore struct {
	wal  *wal.Log
	log  *slog.Logger
	fail func(error)
	// before is a test's hook.
	before func() error
	// took is told how long each write took; nil for nobody.
	took func(time.Duration)
	// room is looked at beside each write; nil for nobody. follows says whether this member follows, and refuses entries without room.
	room    *diskRoom
	follows func() bool
	// overlap says whether the write of an entry may still be on its way when StoreLogs returns. nil is never.
	overlap func() bool

	pending  atomic.Int64 // when the oldest write that has not returned began, as time since start in ns; 0 for none
	failing  atomic.Int64 // since when the term or entries cannot be saved; 0 when they can
	lastDone atomic.Int64 // when the last write returned
	refused  atomic.Int64 // since when every write has failed, and not for want of room; 0 when the last one succeeded
	start    time.Time
	writeMu  sync.Mutex // orders writes, so that pending is the oldest one's
	closing  chan struct{}

	mu       sync.Mutex // guards what follows
	sizes    logSizes
	recent   recentEntries
	unsaved  uint64        // how many of the newest entries are not on the disk
	bytes    int64         // of these
	saving   bool          // a goroutine writes them
	broken   error         // why they could not be written; nil when they could or nobody tried
	moved    chan struct{} // closed when unsaved or broken change, and then nil; nil while nobody waits
	deleting [2]uint64     // the range that is being deleted: its entries may be there or not
	vote     pendingVote
}

// logOptions are what a log is opened with.
type logOptions struct {
	log    *slog.Logger
	fail   func(error)  // ends the store
	before func() error // a test's hook, run before each write; may be nil
}

// openLogStore opens the log of a store folder, and makes it when there is none.
func openLogStore(dir string, o logOptions) (*logStore, error) {
	if err := convertBolt(dir, o.log); err != nil {
		return nil, err
	}
	w, err := wal.Open(filepath.Join(dir, logDir), wal.Options{})
	if errors.Is(err, wal.ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	s := &logStore{wal: w, log: o.log, fail: o.fail, before: o.before, start: time.Now(), closing: make(chan struct{})}
	w.Sizes(func(index uint64, data int64) { s.sizes.append(index, data+entryOverhead) })
	return s, nil
}

// hasLog says whether a store folder holds a log, of this or of an earlier version.
func hasLog(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, boltFile))
	return err == nil || wal.Exists(filepath.Join(dir, logDir))
}

// bounds are the indexes of the first and the last entry, 0 and 0 when there is none.
func (s *logStore) bounds() (first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizes.bounds()
}

// entryOverhead is what an entry takes beside its data, roughly.
const entryOverhead = 64

// logSize is what an entry takes, roughly.
func logSize(l *raft.Log) int64 { return int64(len(l.Data)) + entryOverhead }

func (s *logStore) since() int64 { return int64(time.Since(s.start)) + 1 }

// write runs one write to the file, watched.
func (s *logStore) write(f func() error) (err error) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.pending.Store(s.since())
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the log file: %v", p)
		}
		s.note(err)
		if began := s.pending.Swap(0); s.took != nil {
			s.took(time.Duration(s.since() - began))
		}
		s.lastDone.Store(s.since())
	}()
	if s.room != nil {
		s.room.look()
	}
	if s.before != nil {
		if err := s.before(); err != nil {
			return err
		}
	}
	return f()
}

// note takes note of what became of a write.
func (s *logStore) note(err error) {
	switch {
	case err == nil, errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		s.refused.Store(0)
	default:
		s.refused.CompareAndSwap(0, s.since())
	}
}

// refusedFor is how long the disk has refused every write, for another reason than want of room; 0 when it takes them, or hangs.
func (s *logStore) refusedFor() time.Duration {
	if at := s.refused.Load(); at != 0 && s.pending.Load() == 0 {
		return time.Duration(s.since() - at)
	}
	return 0
}

// stalledFor is how long the oldest write has been hanging, or the term could not be saved; 0 when neither is so.
func (s *logStore) stalledFor() (d time.Duration) {
	for _, since := range []*atomic.Int64{&s.pending, &s.failing} {
		if at := since.Load(); at != 0 {
			d = max(d, time.Duration(s.since()-at))
		}
	}
	return d
}

// idleFor is how long ago the last write returned.
func (s *logStore) idleFor() time.Duration { return time.Duration(s.since() - s.lastDone.Load()) }

// probe proves that the disk takes writes.
func (s *logStore) probe() error {
	return s.write(func() error {
		if err := s.saveRest(); err != nil {
			return err
		}
		return s.wal.Set(keyProbe, binary.BigEndian.AppendUint64(nil, uint64(s.since())))
	})
}

// die ends the store and the calling goroutine, which is one of Raft's.
func (s *logStore) die(err error) {
	s.fail(fmt.Errorf("%w: %w", ErrDisk, err))
	runtime.Goexit()
}

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) {
	first, _ := s.bounds()
	return first, nil
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) {
	_, last := s.bounds()
	return last, nil
}

// GetLog implements raft.LogStore. An entry that must be there and cannot be read ends the store.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	err := s.readLog(index, l)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	must := s.sizes.holds(index) && (index < s.deleting[0] || index > s.deleting[1])
	s.mu.Unlock()
	if must {
		s.die(fmt.Errorf("read log entry %d: %w", index, err))
	}
	return err
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. An error makes Raft step down or refuse the entries, which is right: a full disk may
// get room again.
//
// Raft takes its return for "this server has the entries on its disk" and sends them to the followers only then, so that a
// leader's disk and a follower's would be waited for one after the other. Therefore a leader's StoreLogs returns at once
// where that is safe, and what Raft must not conclude too early is held back elsewhere: the transport delivers no
// follower's answer about an entry before that entry is on this disk too (saved). As no entry is committed without a
// follower's answer, whatever is committed was written by the leader also. Hence the conditions: this node leads, and
// it is not the only voter (overlap); and the entries change no configuration, which counts from when it is stored and may
// make this node the only voter. What StoreLogs wrote earlier is on the disk when a write that is waited for returns.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if s.later(logs) {
		return nil
	}
	if s.room != nil && s.follows != nil && s.follows() {
		if s.room.look(); s.room.full() {
			return errNoRoom
		}
	}
	return s.write(func() error {
		if err := s.saveRest(); err != nil {
			return err
		}
		if err := s.wal.Append(logs); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remember(logs)
		return nil
	})
}

// remember notes entries; s.mu is held.
func (s *logStore) remember(logs []*raft.Log) {
	for _, l := range logs {
		s.sizes.append(l.Index, logSize(l))
		s.recent.append(l)
	}
	s.recent.trim(s.unsaved)
}

// DeleteRange implements raft.LogStore. After an error the entries are still there, which Raft bears: it refuses the
// entries that conflict with them, or cuts its log another time.
func (s *logStore) DeleteRange(min, max uint64) error {
	s.setDeleting(min, max)
	defer s.setDeleting(0, 0)
	return s.write(func() error { return s.deleteRange(min, max) })
}

// deleteRange deletes entries at either end of the log, as Raft does. Those that were not written yet are written first,
// except where they are what is deleted: a disk that refused them need not take them. It runs within write.
func (s *logStore) deleteRange(min, max uint64) (err error) {
	switch first, last := s.bounds(); {
	case first == 0 || max < first || min > last:
		return nil
	case min <= first:
		if err = s.saveRest(); err == nil {
			err = s.wal.DeleteBefore(max + 1)
		}
	case max < last:
		err = fmt.Errorf("raftstore: entries %d to %d are in the middle of the log, which is %d to %d", min, max, first, last)
	default:
		err = s.wal.DeleteFrom(min)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, last := s.sizes.bounds(); max >= last {
		for i := last; s.unsaved > 0 && i >= min; i-- {
			s.unsaved--
			s.bytes -= logSize(s.recent.get(i))
		}
	}
	s.sizes.delete(min, max)
	s.recent.delete(min, max)
	s.setBroken(s.broken)
	return nil
}

func (s *logStore) setDeleting(min, max uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleting = [2]uint64{min, max}
}

// tail is how many of the newest entries fit into a number of bytes, and whether these are all.
func (s *logStore) tail(bytes int64) (n uint64, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizes.tail(bytes)
}

// bytesAfter is the size of the entries after index.
func (s *logStore) bytesAfter(index uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizes.after(index)
}

func (s *logStore) close() error { return s.wal.Close() }
