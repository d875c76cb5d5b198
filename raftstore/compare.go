package raftstore

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// compareEvery is how often the leader compares the members' data.
const compareEvery = 5 * time.Minute

// compareLoop has the leader compare what the members made of the same log. They are deterministic, so a difference means
// broken memory, a broken disk or a defect here; etcd has had each (etcd#13766). It is reported loudly and changes nothing:
// which member is right is not for a program to say.
func (s *Store) compareLoop() {
	every := compareEvery
	if d := s.opts.hooks.compareEvery; d > 0 {
		every = d
	}
	for s.sleep(every) {
		if n := s.node.Load(); n != nil && s.IsLeader() {
			s.compareMembers(n)
		}
	}
}

func (s *Store) compareMembers(n *node) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	// In this order: whoever has applied the index has the revision.
	ask := hashQuery{Rev: s.state.revision(), Index: s.state.progress.current()}
	own, err := s.hashAt(ctx, ask)
	if err != nil {
		return
	}
	differ := 0
	for _, srv := range n.others() {
		theirs, err := s.askHash(ctx, srv, ask)
		// A compaction that runs between the two questions makes the hashes incomparable; next time, then.
		if err != nil || theirs.CompactRevision != own.CompactRevision || theirs.Hash == own.Hash {
			continue
		}
		differ++
		s.log.Error("members differ in their data", "member", string(srv.ID), "revision", ask.Rev,
			"hash", theirs.Hash, "leader_hash", own.Hash, "remedy", "find out which is right, then empty the other's folder, and `etcdctl alarm disarm`")
		s.raiseCorrupt(ctx, memberID(srv.ID))
	}
	s.metrics.differ.Set(float64(differ))
}

// raiseCorrupt raises etcd's alarm for a member whose data differs from the leader's. As in etcd
// writes are refused from then on: a member that applies a compare to other data may tell its clients of a success that there
// was none. Leases can still be renewed, so a primary stays what it is until an operator has decided.
func (s *Store) raiseCorrupt(ctx context.Context, member uint64) {
	for _, a := range s.state.alarmStore().Get(pb.AlarmType_CORRUPT) {
		if a.MemberID == member {
			return
		}
	}
	s.alarm(ctx, pb.AlarmRequest_ACTIVATE, member, pb.AlarmType_CORRUPT)
}

func (s *Store) askHash(ctx context.Context, srv raft.Server, q hashQuery) (h mvcc.KeyValueHash, err error) {
	b, err := s.conns.call(ctx, memberID(srv.ID), hostPort(srv.Address), methodHash, q.encode())
	if err != nil {
		return h, err
	}
	r := reader{buf: b}
	h.Hash, h.CompactRevision = uint32(r.u64()), r.i64()
	return h, r.done("hash")
}

// hashQuery asks for the hash of all keys up to a revision, once an index is applied.
type hashQuery struct {
	Rev   int64
	Index uint64
}

func (q hashQuery) encode() []byte {
	var w writer
	w.i64(q.Rev)
	w.u64(q.Index)
	return w
}

func (s *Store) handleHash(ctx context.Context, body []byte) ([]byte, error) {
	r := reader{buf: body}
	q := hashQuery{Rev: r.i64(), Index: r.u64()}
	if err := r.done("hash query"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	h, err := s.hashAt(ctx, q)
	if err != nil {
		return nil, err
	}
	var w writer
	w.u64(uint64(h.Hash))
	w.i64(h.CompactRevision)
	return w, nil
}

func (s *Store) hashAt(ctx context.Context, q hashQuery) (h mvcc.KeyValueHash, err error) {
	if err := s.state.progress.wait(ctx, q.Index); err != nil {
		return h, fmt.Errorf("wait for index %d: %w", q.Index, err)
	}
	err = s.state.kv.reading(func() error {
		h, _, err = s.state.kv.HashStorage().HashByRev(q.Rev)
		return err
	})
	return h, err
}
