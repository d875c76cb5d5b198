package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3alarm"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"quorate/raftstore/v2keys"
	"quorate/raftstore/v2users"
)

// backendMmap is the address space set aside for the backend file. bbolt remaps when the file outgrows it, and a remap
// waits for all open reads while it blocks apply.
const backendMmap = 1 << 30

// state is the replicated state: etcd's key-value store, leases, alarms and users, and our member records, all in one
// backend file. The file is a cache. It is made anew at each start, filled from the Raft snapshot and log, and never
// synced; what is durable is the log.
type state struct {
	lg  *zap.Logger
	dir string
	now func() time.Duration
	// users is how tokens are made.
	users AuthOptions
	hooks
	// onTermStart is told of each start of a term as it is applied; nil for nobody.
	onTermStart func(t termStart, entryTerm uint64)

	// mu keeps a copy of the state from being taken in the middle of a log entry, and the state from being replaced while
	// somebody uses be.
	mu      sync.RWMutex
	be      backend.Backend
	sized   atomic.Pointer[backend.Backend] // be, for size alone
	gen     int                             // numbers the backend files
	kv      *gatedKV
	lessor  *lessor
	alarms  *v3alarm.AlarmStore
	auth    auth.AuthStore
	v2      *v2keys.Keys
	v2users atomic.Pointer[v2users.Users]
	members map[uint64]Member
	cluster uint64
	applied uint64 // log index
	// unwritten is the size of the entries since the backend's file was written.
	unwritten int
	// compacting is closed when the newest compaction has deleted; nil when there was none.
	compacting <-chan struct{}
	// progress lets others wait for applied.
	progress *progress
}

// newState makes an empty state in dir, removing what an earlier run left there.
func newState(dir string, lg *zap.Logger, now func() time.Duration, users AuthOptions, h hooks) (*state, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("clear the backend: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the backend: %w", err)
	}
	s := &state{lg: lg, dir: dir, now: now, users: users, hooks: h, members: map[uint64]Member{}, progress: newProgress(), v2: v2keys.New()}
	be, err := s.open(s.path(0))
	if err != nil {
		return nil, err
	}
	s.setBackend(be)
	s.lessor = newLessor(now)
	s.lessor.Recover(be, nil)
	s.kv = &gatedKV{WatchableKV: mvcc.New(lg, be, s.lessor, mvcc.StoreConfig{})}
	return s, s.load()
}

func (s *state) path(gen int) string { return fmt.Sprintf("%s/db-%d", s.dir, gen) }

// backendPause is how long changes may stay in memory before they are written to the backend's file, which is a cache of the log (etcd: 0.1 s, which
// wakes the process ten times a second for nothing at rest). 10,000 of them are written at once.
const backendPause = time.Second

// open opens a backend file. etcd's package answers failure by a panic, which newZap turns into the end of the calling
// goroutine; so it runs in one of its own.
func (s *state) open(path string) (backend.Backend, error) {
	opened := make(chan backend.Backend, 1)
	go func() {
		defer close(opened)
		cfg := backend.DefaultBackendConfig(s.lg)
		cfg.Path = path
		cfg.MmapSize = backendMmap
		cfg.UnsafeNoFsync = true
		cfg.BatchInterval = backendPause
		cfg.Timeout = 5 * time.Second // for the file's lock: the folder is in use by another process
		opened <- backend.New(cfg)
	}()
	if be := <-opened; be != nil {
		return be, nil
	}
	return nil, fmt.Errorf("%w: open the backend %s: see the log", ErrDisk, path)
}

// load reads everything but keys and leases from the backend.
func (s *state) load() error {
	alarms, err := v3alarm.NewAlarmStore(s.lg, schema.NewAlarmBackend(s.lg, s.be))
	if err != nil {
		return fmt.Errorf("read alarms: %w", err)
	}
	s.alarms = alarms
	if s.auth == nil {
		s.auth, err = newAuthStore(s.lg, s.be, s.progress.reached, s.users)
		if err != nil {
			return err
		}
	} else {
		users := schema.NewAuthBackend(s.lg, s.be)
		users.CreateAuthBuckets() // a snapshot of another program may lack them
		s.auth.Recover(users)
	}
	if err := errors.Join(s.loadV2(), s.loadV2Users()); err != nil {
		return err
	}
	tx := s.be.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	tx.UnsafeCreateBucket(stateBucket)
	tx.UnsafeCreateBucket(memberBucket)
	s.cluster = readU64(tx, stateBucket, clusterKey)
	s.applied = readU64(tx, stateBucket, appliedKey)
	s.members = map[uint64]Member{}
	s.progress.advance(s.applied)
	return tx.UnsafeForEach(memberBucket, func(_, v []byte) error {
		r := reader{buf: append([]byte(nil), v...)}
		m := readMember(&r)
		s.members[m.ID] = m
		return r.done("member record")
	})
}

func readU64(tx backend.UnsafeReader, b backend.Bucket, key []byte) uint64 {
	if _, vals := tx.UnsafeRange(b, key, nil, 0); len(vals) == 1 {
		return keyU64(vals[0])
	}
	return 0
}

func (s *state) putState(key []byte, v uint64) {
	tx := s.be.BatchTx()
	tx.LockInsideApply()
	defer tx.Unlock()
	tx.UnsafePut(stateBucket, key, u64Key(v))
}

// replace puts another backend file in place of the state. Watches live on: mvcc keeps its watchers over Restore and has
// them read what they missed, or tells them that it was compacted.
func (s *state) replace(path string) error {
	be, err := s.open(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.be
	s.setBackend(be)
	s.lessor.Recover(be, s.lessor.rd) // before mvcc attaches keys to leases
	if err := s.kv.Restore(be); err != nil {
		return fmt.Errorf("restore keys: %w", err)
	}
	if err := s.load(); err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("close the replaced backend: %w", err)
	}
	return os.Remove(s.path(s.gen - 1))
}

func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.auth.Close(), s.kv.Close(), s.be.Close())
}

// revision is the newest revision.
func (s *state) revision() int64 { return s.kv.Rev() }

// member returns a member's record.
func (s *state) member(id uint64) (Member, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, ok := s.members[id]
	return m, ok
}

func (s *state) memberList() []Member {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Member, 0, len(s.members))
	for _, m := range s.members {
		list = append(list, m)
	}
	return list
}

func (s *state) clusterID() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cluster
}

// setBackend puts a backend in force; mu is held, or nobody else has s yet.
func (s *state) setBackend(be backend.Backend) {
	s.be = be
	s.sized.Store(&be)
}

// size returns the bytes that the backend file takes and those of them in use. Each request that grows the data asks, so it does not wait for
// the entry that is applied: these are counters of the backend, which one that is closed has too.
func (s *state) size() (file, inUse int64) {
	be := *s.sized.Load()
	return be.Size(), be.SizeInUse()
}

// settleSize makes size tell the truth. bbolt counts a page as free only in a later transaction than the one that let it
// go, and while the quota's alarm refuses writes there is none.
func (s *state) settleSize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 2 {
		s.putState(appliedKey, s.applied)
		s.be.ForceCommit()
	}
}

// alarmed says whether an alarm of the kind is raised, by whichever member.
func (s *state) alarmed(t pb.AlarmType) bool { return len(s.alarmStore().Get(t)) > 0 }

func (s *state) alarmStore() *v3alarm.AlarmStore {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.alarms
}

var background = context.Background()
