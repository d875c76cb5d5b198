package raftstore

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/etcdserver/txn"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Header is the header of this node's answers, at its present revision. Its term is this node's own: a client that has
// seen a newer one leaves a node that was left behind.
func (s *Store) Header() *pb.ResponseHeader {
	return s.HeaderAt(s.state.revision())
}

// HeaderAt is Header for an answer whose revision is known: asking for the present one waits for the writers.
func (s *Store) HeaderAt(rev int64) *pb.ResponseHeader {
	h := &pb.ResponseHeader{Revision: rev}
	s.fill(h)
	return h
}

// fill writes who answers into a header that has its revision.
func (s *Store) fill(h *pb.ResponseHeader) {
	h.ClusterId, h.MemberId, h.RaftTerm = s.ClusterID(), s.ID(), s.Term()
}

// Range reads keys, linearizably unless the request says otherwise.
func (s *Store) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := wellFormedRange(r); err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, r.Serializable); err != nil {
		return nil, err
	}
	var resp *pb.RangeResponse
	err := s.guarded(ctx, func(who *auth.AuthInfo) error {
		return s.state.auth.IsRangePermitted(who, r.Key, r.RangeEnd)
	}, func() (err error) {
		resp, _, err = txn.Range(ctx, s.zap, s.state.kv.WatchableKV, r, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// fresh makes this node new enough for a read.
func (s *Store) fresh(ctx context.Context, serializable bool) error {
	if serializable {
		_, err := s.serving()
		return err
	}
	return s.linearize(ctx)
}

// Put writes a key.
func (s *Store) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	resp, err := request(s, ctx, &pb.InternalRaftRequest{Put: r}, &pb.PutResponse{})
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// DeleteRange deletes keys.
func (s *Store) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	resp, err := request(s, ctx, &pb.InternalRaftRequest{DeleteRange: r}, &pb.DeleteRangeResponse{})
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// Txn executes a transaction. One that only reads does not go through the log.
func (s *Store) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp, err := s.txn(ctx, r)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

func (s *Store) txn(ctx context.Context, r *pb.TxnRequest) (resp *pb.TxnResponse, err error) {
	if !txn.IsTxnReadonly(r) {
		return request(s, ctx, &pb.InternalRaftRequest{Txn: r}, &pb.TxnResponse{})
	}
	if err := wellFormedTxn(r, maxTxnDepth); err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, txn.IsTxnSerializable(r)); err != nil {
		return nil, err
	}
	err = s.guarded(ctx, func(who *auth.AuthInfo) error { return s.state.permitTxn(who, r) }, func() (err error) {
		resp, _, err = txn.Txn(ctx, s.zap, r, true, s.state.kv.WatchableKV, s.state.lessor, false)
		return err
	})
	return resp, err
}

// Compact drops history before a revision. With Physical it waits until this node has dropped it.
func (s *Store) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	resp, err := request(s, ctx, &pb.InternalRaftRequest{Compaction: r}, &pb.CompactionResponse{})
	if err != nil {
		return nil, err
	}
	if r.Physical {
		if err := s.state.compacted(ctx); err != nil {
			return nil, err
		}
	}
	s.fill(resp.Header)
	return resp, nil
}

// Watchable is the store to watch. It stays the same object while the state is replaced by a leader's snapshot: a watch
// goes on and is told what it missed, or that this was compacted.
func (s *Store) Watchable() mvcc.WatchableKV { return s.state.kv }
