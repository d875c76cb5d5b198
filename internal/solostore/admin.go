package solostore

import (
	"context"
	"io"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

func (s *Store) members() []*pb.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []*pb.Member{{
		ID: MemberID, Name: "solo", PeerURLs: []string{"http://127.0.0.1:2380"}, ClientURLs: slices.Clone(s.clientURLs),
	}}
}

// SetClientURLs says where the member's clients find it; at first that is http://127.0.0.1:2379.
func (s *Store) SetClientURLs(urls ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientURLs = urls
}

// MemberList implements the store interface.
func (s *Store) MemberList(_ context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if err := s.ready(); err != nil && r.Linearizable {
		return nil, err
	}
	return &pb.MemberListResponse{Header: s.Header(), Members: s.members()}, nil
}

// MemberAdd implements the store interface; a store of one member takes no other.
func (s *Store) MemberAdd(context.Context, *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return nil, etcderrors.ErrNotEnoughStartedMembers
}

// MemberRemove implements the store interface.
func (s *Store) MemberRemove(context.Context, *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	return nil, membership.ErrIDNotFound
}

// MemberUpdate implements the store interface.
func (s *Store) MemberUpdate(_ context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	if r.ID != MemberID {
		return nil, membership.ErrIDNotFound
	}
	return &pb.MemberUpdateResponse{Header: s.Header(), Members: s.members()}, nil
}

// MemberPromote implements the store interface.
func (s *Store) MemberPromote(_ context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	if r.ID != MemberID {
		return nil, membership.ErrIDNotFound
	}
	return nil, membership.ErrMemberNotLearner
}

// MoveLeader implements the store interface.
func (s *Store) MoveLeader(_ context.Context, target uint64) error {
	if target != MemberID {
		return etcderrors.ErrBadLeaderTransferee
	}
	return nil
}

// Alarm implements the store interface.
func (s *Store) Alarm(_ context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if err := s.ready(); err != nil && r.Action != pb.AlarmRequest_GET {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pb.AlarmResponse{}
	switch r.Action {
	case pb.AlarmRequest_ACTIVATE:
		s.alarms = append(s.alarms, &pb.AlarmMember{MemberID: r.MemberID, Alarm: r.Alarm})
	case pb.AlarmRequest_DEACTIVATE:
		s.alarms = slices.DeleteFunc(s.alarms, func(a *pb.AlarmMember) bool { return a.Alarm == r.Alarm })
	}
	resp.Alarms = slices.Clone(s.alarms)
	return resp, nil
}

// Defragment implements the store interface.
func (s *Store) Defragment(context.Context) error { return s.backend.Defrag() }

// Hash implements the store interface.
func (s *Store) Hash(context.Context) (uint32, error) {
	hash, _, err := s.kv.HashStorage().Hash()
	return hash, err
}

// HashKV implements the store interface.
func (s *Store) HashKV(_ context.Context, rev int64) (*pb.HashKVResponse, error) {
	hash, _, err := s.kv.HashStorage().HashByRev(rev)
	if err != nil {
		return nil, err
	}
	return &pb.HashKVResponse{
		Header: s.Header(), Hash: hash.Hash, CompactRevision: hash.CompactRevision, HashRevision: hash.Revision,
	}, nil
}

// Snapshot implements the store interface.
func (s *Store) Snapshot(context.Context) (int64, io.ReadCloser, error) {
	snap := s.backend.Snapshot()
	r, w := io.Pipe()
	s.wg.Go(func() {
		_, err := snap.WriteTo(w)
		w.CloseWithError(err)
		_ = snap.Close()
	})
	return snap.Size(), r, nil
}
