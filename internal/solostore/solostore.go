// Package solostore is a store of one member, without consensus and without durability, for tests of what stands on the
// store: etcd's own mvcc, transactions and leases behind the interface of the front ends. Semantics are therefore etcd's;
// what raft adds (a leader that is lost, a member that stopped) is set by hand.
package solostore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/coreos/go-semver/semver"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
)

// The identity of the one member.
const (
	ClusterID = 0x5105
	MemberID  = 0x501
)

// Store implements the interface that the front ends declare.
type Store struct {
	log     *zap.Logger
	backend backend.Backend
	kv      mvcc.WatchableKV
	lessor  lease.Lessor
	done    chan struct{}
	wg      sync.WaitGroup

	write sync.Mutex // serialises what consensus would

	mu      sync.Mutex // guards the fields below
	leader  uint64
	term    uint64
	changed chan struct{}
	alarms  []*pb.AlarmMember
	fail    error
	closed  bool
	nextID  int64

	clientURLs []string
}

// Open makes an empty store in a folder. Leases may be as short as a second.
func Open(dir string) (*Store, error) {
	log := zap.NewNop()
	conf := backend.DefaultBackendConfig(log)
	conf.Path = filepath.Join(dir, "db")
	conf.UnsafeNoFsync = true
	conf.MmapSize = 64 << 20
	s := &Store{
		log: log, done: make(chan struct{}), changed: make(chan struct{}), leader: MemberID, term: 2, nextID: 1,
		clientURLs: []string{"http://127.0.0.1:2379"},
	}
	s.backend = backend.New(conf)
	tx := s.backend.BatchTx()
	tx.LockOutsideApply()
	schema.UnsafeCreateMetaBucket(tx)
	tx.Unlock()
	s.lessor = lease.NewLessor(log, s.backend, version35{}, lease.LessorConfig{MinLeaseTTL: 1})
	s.kv = mvcc.New(log, s.backend, s.lessor, mvcc.StoreConfig{})
	s.lessor.Promote(0)
	s.wg.Go(s.expire)
	return s, nil
}

type version35 struct{}

func (version35) Version() *semver.Version { return semver.New("3.5.0") }

// Close stops the store; calls under way may fail.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	s.mu.Unlock()
	s.lessor.Stop()
	s.wg.Wait()
	return errors.Join(s.kv.Close(), s.backend.Close())
}

// SetLeader says who leads: 0 for nobody, in which case writes and linearizable reads fail with ErrNoLeader. A new leader
// is a new term.
func (s *Store) SetLeader(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader == id {
		return
	}
	if id != 0 {
		s.term++
	}
	s.leader = id
	close(s.changed)
	s.changed = make(chan struct{})
}

// SetError makes every call fail with err until it is set to nil.
func (s *Store) SetError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// ready is why a call cannot be served now, or nil.
func (s *Store) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return etcderrors.ErrStopped
	case s.fail != nil:
		return s.fail
	case s.leader == 0:
		return etcderrors.ErrNoLeader
	}
	return nil
}

// expire revokes the leases that the lessor finds due.
func (s *Store) expire() {
	for {
		select {
		case due := <-s.lessor.ExpiredLeasesC():
			for _, l := range due {
				s.write.Lock()
				_ = s.lessor.Revoke(l.ID)
				s.write.Unlock()
			}
		case <-s.done:
			return
		}
	}
}

// Watchable implements the store interface.
func (s *Store) Watchable() mvcc.WatchableKV { return s.kv }

// Header implements the store interface.
func (s *Store) Header() *pb.ResponseHeader {
	return s.HeaderAt(s.kv.Rev())
}

// HeaderAt implements the store interface.
func (s *Store) HeaderAt(rev int64) *pb.ResponseHeader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &pb.ResponseHeader{ClusterId: ClusterID, MemberId: MemberID, RaftTerm: s.term, Revision: rev}
}

// Leader implements the store interface.
func (s *Store) Leader() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader
}

// LeaderChanged implements the store interface.
func (s *Store) LeaderChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// ElectionTimeout implements the store interface; it is short so that tests of its multiples are.
func (s *Store) ElectionTimeout() time.Duration { return 10 * time.Millisecond }

// Done implements the store interface.
func (s *Store) Done() <-chan struct{} { return s.done }

// Status implements the store interface.
func (s *Store) Status(context.Context) (*pb.StatusResponse, error) {
	h := s.Header()
	resp := &pb.StatusResponse{
		Header: h, Leader: s.Leader(), RaftTerm: h.RaftTerm, RaftIndex: uint64(h.Revision), RaftAppliedIndex: uint64(h.Revision),
		DbSize: s.backend.Size(), DbSizeInUse: s.backend.SizeInUse(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alarms {
		resp.Errors = append(resp.Errors, fmt.Sprint(a))
	}
	return resp, nil
}
