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
	rev := resp.Header.GetRevision()
	return Result{Succeeded: resp.Succeeded, Revision: rev, Made: rev, ClusterID: resp.Header.GetClusterId()}, nil
}
