package etcd3

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"
)

// kvServer is etcdserverpb.KV.
type kvServer struct {
	pb.UnimplementedKVServer
	store           Store
	permit          permit
	maxTxnOps       int
	maxRequestBytes int
}

func (s *kvServer) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := validateRange(r); err != nil {
		return nil, err
	}
	resp, err := s.store.Range(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	complete(s.store, &resp.Header)
	return resp, nil
}

func (s *kvServer) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if err := s.checkWrite(r, validatePut(r)); err != nil {
		return nil, err
	}
	resp, err := s.store.Put(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	complete(s.store, &resp.Header)
	return resp, nil
}

func (s *kvServer) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if err := s.checkWrite(r, validateDelete(r)); err != nil {
		return nil, err
	}
	resp, err := s.store.DeleteRange(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	complete(s.store, &resp.Header)
	return resp, nil
}

func (s *kvServer) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := s.checkWrite(r, validateTxn(r, s.maxTxnOps)); err != nil {
		return nil, err
	}
	resp, err := s.store.Txn(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	complete(s.store, &resp.Header)
	return resp, nil
}

func (s *kvServer) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.Compact(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	complete(s.store, &resp.Header)
	return resp, nil
}

// checkWrite adds to a request's own fault the bound on what one log entry may carry. gRPC's own limit lies higher, by
// the overhead of framing, and would say so in words that clients do not know.
func (s *kvServer) checkWrite(r proto.Message, fault error) error {
	if fault == nil && proto.Size(r) > s.maxRequestBytes {
		return rpctypes.ErrGRPCRequestTooLarge
	}
	return fault
}
