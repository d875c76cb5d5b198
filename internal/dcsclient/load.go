package dcsclient

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/internal/boottime"
)

// Load implements Client.
func (c *Etcd) Load(ctx context.Context, prefix string) (Snapshot, error) {
	var snap Snapshot
	req := &pb.RangeRequest{Key: prefixStart(prefix), RangeEnd: prefixEnd(prefix)}
	err := c.repeatable(ctx, func(ctx context.Context, e *endpoint) error {
		sent := boottime.Now()
		resp, err := e.kv.Range(ctx, req)
		if err != nil {
			return err
		}
		snap = toSnapshot(resp, sent)
		return nil
	})
	if err != nil {
		return Snapshot{}, err
	}
	c.cluster.Store(snap.ClusterID)
	return snap, nil
}

func toSnapshot(resp *pb.RangeResponse, sent boottime.Instant) Snapshot {
	snap := Snapshot{
		ClusterID: resp.Header.GetClusterId(), Revision: resp.Header.GetRevision(), Term: resp.Header.GetRaftTerm(),
		KVs: make([]KV, len(resp.Kvs)), ReadAt: sent,
	}
	for i, kv := range resp.Kvs {
		snap.KVs[i] = fromKV(kv)
	}
	return snap
}
