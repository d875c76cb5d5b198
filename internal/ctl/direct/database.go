package direct

import (
	"context"

	"quorate/internal/dcsclient"
	"quorate/internal/dcsclient/etcdv2"
	"quorate/raftstore/dcs"
)

// connect makes the client of etcd's API that the options name. It connects when it is asked.
func connect(o Options, keys dcs.Keys) (dcsclient.Client, error) {
	if o.API == 2 {
		return etcdv2.New(etcdv2.Options{
			Endpoints: o.Endpoints, Fixed: true, Keys: keys, TLS: o.TLS, Username: o.Username, Password: o.Password, RequestTimeout: o.Timeout,
		})
	}
	return dcsclient.New(dcsclient.Options{Endpoints: o.Endpoints, TLS: o.TLS, Username: o.Username, Password: o.Password, RequestTimeout: o.Timeout})
}

// load reads all keys of the cluster, from a quorum.
func (s *Store) load(ctx context.Context) (*dcs.Cluster, error) {
	snap, err := s.db.Load(ctx, s.keys.Prefix())
	if err != nil {
		return nil, err
	}
	kvs := make([]dcs.KV, len(snap.KVs))
	for i, kv := range snap.KVs {
		kvs[i] = dcs.KV{Key: kv.Key, Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Lease: kv.Lease}
	}
	return dcs.Parse(s.keys, snap.ClusterID, snap.Revision, kvs), nil
}

// put writes a key that nobody has written since revision mod (0: that does not exist); false when somebody has.
func (s *Store) put(ctx context.Context, key, value string, mod int64, also ...dcs.Compare) (bool, error) {
	r, err := s.db.Commit(ctx, dcs.Txn{If: append([]dcs.Compare{dcs.Unchanged(key, mod)}, also...), Then: []dcs.Op{dcs.Put(key, value, 0)}})
	return r.Succeeded, err
}
