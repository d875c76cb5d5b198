package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
)

// logFile is the Raft log, the votes and the term, within the store folder.
const logFile = "raft.db"

// logStore is raft-boltdb with guards. hashicorp/raft panics when it cannot save its term or read back a committed entry,
// which would take the agent and its database along; here the store fails instead (fail), and the goroutine of Raft that
// was about to panic ends. Every write is watched: see stalled.
type logStore struct {
	bolt *raftboltdb.BoltStore
	log  *slog.Logger
	fail func(error)
	// before is a test's hook.
	before func() error
	// took is told how long each write took; nil for nobody.
	took func(time.Duration)

	pending  atomic.Int64 // when the oldest write that has not returned began, as time since start in ns; 0 for none
	failing  atomic.Int64 // since when the term cannot be saved; 0 when it can
	lastDone atomic.Int64 // when the last write returned
	start    time.Time
	writeMu  sync.Mutex // orders writes, so that pending is the oldest one's
	closing  chan struct{}

	mu       sync.Mutex // guards what follows
	sizes    logSizes
	deleting [2]uint64 // the range that is being deleted: its entries may be there or not
	vote     pendingVote
}

// pendingVote holds the term of a vote until the candidate comes: see SetUint64.
type pendingVote struct {
	term uint64
	set  bool
}

// Raft's keys in the stable store (hashicorp/raft, raft.go), and ours.
var (
	keyCurrentTerm  = []byte("CurrentTerm")
	keyLastVoteTerm = []byte("LastVoteTerm")
	keyLastVoteCand = []byte("LastVoteCand")
	keyVote         = []byte("QuorateVote")  // term and candidate in one value
	keyProbe        = []byte("QuorateProbe") // written to prove that the disk writes
)

const (
	// voteWrites is how often a vote is written before it is not given after all, and writePause the time between.
	voteWrites = 5
	writePause = 200 * time.Millisecond
)

func openLogStore(path string, log *slog.Logger, fail func(error), before func() error) (*logStore, error) {
	b, err := raftboltdb.New(raftboltdb.Options{
		Path:        path,
		BoltOptions: &bolt.Options{Timeout: 5 * time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType},
	})
	if err != nil {
		return nil, fmt.Errorf("open the log %s: %w (is another process running in this folder?)", path, err)
	}
	s := &logStore{bolt: b, log: log, fail: fail, before: before, start: time.Now(), closing: make(chan struct{})}
	if err := s.scan(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return s, nil
}

// scan measures the entries and makes sure that none is missing in between.
func (s *logStore) scan() error {
	first, last, err := s.bounds()
	if err != nil || first == 0 {
		return err
	}
	for i := first; i <= last; i++ {
		var l raft.Log
		if err := s.bolt.GetLog(i, &l); err != nil {
			return fmt.Errorf("%w: read log entry %d of %d..%d: %w", ErrDisk, i, first, last, err)
		}
		s.sizes.append(i, logSize(&l))
	}
	return nil
}

func (s *logStore) bounds() (first, last uint64, err error) {
	if first, err = s.bolt.FirstIndex(); err != nil {
		return 0, 0, err
	}
	last, err = s.bolt.LastIndex()
	return first, last, err
}

// logSize is what an entry takes, roughly.
func logSize(l *raft.Log) int64 { return int64(len(l.Data)) + 64 }

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
		if began := s.pending.Swap(0); s.took != nil {
			s.took(time.Duration(s.since() - began))
		}
		s.lastDone.Store(s.since())
	}()
	if s.before != nil {
		if err := s.before(); err != nil {
			return err
		}
	}
	return f()
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
	return s.write(func() error { return s.bolt.SetUint64(keyProbe, uint64(s.since())) })
}

// die ends the store and the calling goroutine, which is one of Raft's.
func (s *logStore) die(err error) {
	s.fail(fmt.Errorf("%w: %w", ErrDisk, err))
	runtime.Goexit()
}

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) { return s.bolt.FirstIndex() }

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) { return s.bolt.LastIndex() }

// GetLog implements raft.LogStore. An entry that must be there and cannot be read ends the store.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	err := s.bolt.GetLog(index, l)
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
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if err := s.write(func() error { return s.bolt.StoreLogs(logs) }); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range logs {
		s.sizes.append(l.Index, logSize(l))
	}
	return nil
}

// DeleteRange implements raft.LogStore. After an error the entries are still there, which Raft bears: it refuses the
// entries that conflict with them, or cuts its log another time.
func (s *logStore) DeleteRange(min, max uint64) error {
	s.setDeleting(min, max)
	err := s.write(func() error { return s.bolt.DeleteRange(min, max) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.sizes.delete(min, max)
	}
	s.deleting = [2]uint64{}
	return err
}

func (s *logStore) setDeleting(min, max uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleting = [2]uint64{min, max}
}

// Set implements raft.StableStore. Raft writes a vote as two values; a crash between them would leave the new term with
// the old candidate, and a second vote in the same term would be possible (hashicorp/raft#661). Here the term waits in
// memory for the candidate, and both become one value.
func (s *logStore) Set(key, val []byte) error {
	if string(key) != string(keyLastVoteCand) {
		return s.bolt.Set(key, val)
	}
	s.mu.Lock()
	v := s.vote
	s.vote = pendingVote{}
	s.mu.Unlock()
	if !v.set {
		return errors.New("raftstore: a vote without its term")
	}
	return s.stubborn(keyVote, append(binary.BigEndian.AppendUint64(nil, v.term), val...), voteWrites)
}

// SetUint64 implements raft.StableStore.
func (s *logStore) SetUint64(key []byte, val uint64) error {
	switch string(key) {
	case string(keyLastVoteTerm):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.vote = pendingVote{term: val, set: true}
		return nil
	case string(keyCurrentTerm):
		if err := s.saveTerm(key, val); err != nil {
			s.die(fmt.Errorf("save the term: %w", err)) // Raft would panic
		}
		return nil
	}
	return s.bolt.SetUint64(key, val)
}

// saveTerm writes the term and does not give up before the store closes: a full disk may get room again. Meanwhile this
// member takes part in nothing and serves nothing, see stalledFor.
func (s *logStore) saveTerm(key []byte, val uint64) error {
	defer s.failing.Store(0)
	b := binary.BigEndian.AppendUint64(nil, val)
	for {
		err := s.stubborn(key, b, voteWrites)
		if err == nil {
			return nil
		}
		s.failing.CompareAndSwap(0, s.since())
		select {
		case <-s.closing:
			return err
		default:
		}
	}
}

// stubborn writes a value, several times if need be.
func (s *logStore) stubborn(key, val []byte, tries int) (err error) {
	for range tries {
		if err = s.write(func() error { return s.bolt.Set(key, val) }); err == nil {
			return nil
		}
		s.log.Warn("writing the term or a vote failed", "key", string(key), "error", err)
		select {
		case <-time.After(writePause):
		case <-s.closing:
			return err
		}
	}
	return err
}

// Get implements raft.StableStore.
func (s *logStore) Get(key []byte) ([]byte, error) {
	if string(key) != string(keyLastVoteCand) {
		return s.bolt.Get(key)
	}
	v, err := s.bolt.Get(keyVote)
	if err != nil {
		return nil, err
	}
	if len(v) < 8 {
		return nil, fmt.Errorf("%w: the vote has %d bytes", ErrDisk, len(v))
	}
	return v[8:], nil
}

// GetUint64 implements raft.StableStore.
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	if string(key) != string(keyLastVoteTerm) {
		return s.bolt.GetUint64(key)
	}
	v, err := s.bolt.Get(keyVote)
	if err != nil {
		return 0, err
	}
	if len(v) < 8 {
		return 0, fmt.Errorf("%w: the vote has %d bytes", ErrDisk, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
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

func (s *logStore) close() error { return s.bolt.Close() }
