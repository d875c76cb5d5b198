package raftstore

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Version is the version of etcd whose behaviour the store has.
const Version = "3.5.33"

// Alarm lists, raises or clears alarms.
func (s *Store) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.Action == pb.AlarmRequest_GET {
		if err := s.linearize(ctx); err != nil {
			return nil, err
		}
		return &pb.AlarmResponse{Header: s.Header(), Alarms: s.state.alarmStore().Get(r.Alarm)}, nil
	}
	resp, err := request(s, ctx, &pb.InternalRaftRequest{Alarm: r}, &pb.AlarmResponse{})
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// Status tells how this member is. It answers without a leader too.
func (s *Store) Status(context.Context) (*pb.StatusResponse, error) {
	file, inUse := s.state.size()
	resp := &pb.StatusResponse{
		Header: s.Header(), Version: Version, DbSize: file, DbSizeInUse: inUse, DbSizeQuota: s.opts.QuotaBytes,
		Leader: s.Leader(), RaftAppliedIndex: s.state.progress.current(), RaftTerm: s.Term(),
	}
	for _, a := range s.state.alarmStore().Get(pb.AlarmType_NONE) {
		resp.Errors = append(resp.Errors, a.String())
	}
	n := s.node.Load()
	if n == nil {
		resp.Errors = append(resp.Errors, "not in a cluster yet")
		return resp, nil
	}
	resp.RaftIndex, resp.IsLearner = n.raft.CommitIndex(), s.IsLearner()
	if resp.Leader == 0 {
		resp.Errors = append(resp.Errors, "no leader")
	}
	return resp, nil
}

// Joining says that this member has no vote yet and will be given one when it keeps up. A learner that an operator wants to stay one is not joining.
func (s *Store) Joining() bool {
	if !s.IsLearner() {
		return false
	}
	m, ok := s.state.member(s.ID())
	return ok && m.WantVote
}

// IsLearner says whether this member has no vote, as far as it knows.
func (s *Store) IsLearner() bool {
	n := s.node.Load()
	if n == nil {
		return false
	}
	srv, ok := n.find(n.self)
	return ok && srv.Suffrage != raft.Voter
}

// Defragment gives the free pages of this member's backend file back to the file system. Requests wait meanwhile.
func (s *Store) Defragment(context.Context) error {
	return s.state.kv.reading(func() error {
		s.state.mu.Lock()
		defer s.state.mu.Unlock()
		return s.state.be.Defrag()
	})
}

// Hash is the hash of this member's whole backend but for what may differ between members.
func (s *Store) Hash(context.Context) (hash uint32, err error) {
	err = s.state.kv.reading(func() error {
		s.state.mu.Lock()
		defer s.state.mu.Unlock()
		s.state.be.ForceCommit()
		hash, err = s.state.be.Hash(ignoredInHash)
		return err
	})
	return hash, err
}

// HashKV is the hash of all keys up to a revision, 0 for the present one.
func (s *Store) HashKV(_ context.Context, rev int64) (*pb.HashKVResponse, error) {
	if _, err := s.serving(); err != nil {
		return nil, err
	}
	var h mvcc.KeyValueHash
	var current int64
	err := s.state.kv.reading(func() (err error) {
		h, current, err = s.state.kv.HashStorage().HashByRev(rev)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.HashKVResponse{
		Header: s.Header(), Hash: h.Hash, CompactRevision: h.CompactRevision, HashRevision: hashRevision(rev, current),
	}, nil
}

func hashRevision(asked, current int64) int64 {
	if asked > 0 {
		return asked
	}
	return current
}

// Snapshot returns a copy of this member's backend file, compacted: a file that etcd's own tools read. The caller closes it.
func (s *Store) Snapshot(context.Context) (size int64, r io.ReadCloser, err error) {
	if _, err := s.serving(); err != nil {
		return 0, nil, err
	}
	var path string
	if err := s.state.kv.reading(func() (err error) { path, err = s.state.copy(); return err }); err != nil {
		return 0, nil, fmt.Errorf("copy the backend: %w", err)
	}
	defer os.Remove(path) // the open file outlives its name
	f, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return 0, nil, err
	}
	return st.Size(), f, nil
}
