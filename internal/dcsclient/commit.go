package dcsclient

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"quorate/raftstore/dcs"
)

// Commit implements Client.
func (c *Etcd) Commit(ctx context.Context, txn dcs.Txn) (Result, error) {
	var resp *pb.TxnResponse
	req := toTxn(txn)
	err := c.once(ctx, func(ctx context.Context, e *endpoint, opts ...grpc.CallOption) (err error) {
		resp, err = e.kv.Txn(ctx, req, opts...)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	return Result{
		Succeeded: resp.Succeeded, Revision: resp.Header.GetRevision(), ClusterID: resp.Header.GetClusterId(),
	}, nil
}
