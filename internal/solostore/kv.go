package solostore

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/etcdserver/txn"
)

// Range implements the store interface.
func (s *Store) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := s.ready(); err != nil && !r.Serializable {
		return nil, err
	}
	resp, _, err := txn.Range(ctx, s.log, s.kv, r, true)
	return resp, err
}

// Put implements the store interface.
func (s *Store) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	resp, _, err := txn.Put(ctx, s.log, s.lessor, s.kv, r)
	return resp, err
}

// DeleteRange implements the store interface.
func (s *Store) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	resp, _, err := txn.DeleteRange(ctx, s.log, s.kv, r)
	return resp, err
}

// Txn implements the store interface.
func (s *Store) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	resp, _, err := txn.Txn(ctx, s.log, r, false, s.kv, s.lessor, false)
	return resp, err
}

// Compact implements the store interface; it always waits for the deletion.
func (s *Store) Compact(_ context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	done, err := s.kv.Compact(traceutil.Get(context.Background()), r.Revision)
	if err != nil {
		return nil, err
	}
	<-done
	return &pb.CompactionResponse{Header: s.Header()}, nil
}
