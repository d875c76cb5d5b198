package direct

import (
	"context"

	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// v3 is the store by etcd's v3 API.
type v3 struct{ db *dcsclient.Etcd }

func newV3(o Options) (v3, error) {
	db, err := dcsclient.New(dcsclient.Options{Endpoints: o.Endpoints, TLS: o.TLS, Username: o.Username, Password: o.Password, RequestTimeout: o.Timeout})
	return v3{db}, err
}

func (s v3) close() error { return s.db.Close() }

func (s v3) load(ctx context.Context, keys dcs.Keys) (*dcs.Cluster, error) {
	snap, err := s.db.Load(ctx, keys.Prefix())
	if err != nil {
		return nil, err
	}
	kvs := make([]dcs.KV, len(snap.KVs))
	for i, kv := range snap.KVs {
		kvs[i] = dcs.KV{Key: kv.Key, Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Lease: kv.Lease}
	}
	return dcs.Parse(keys, snap.ClusterID, snap.Revision, kvs), nil
}

func (s v3) put(ctx context.Context, key, value string, mod int64, also ...dcs.Compare) (bool, error) {
	r, err := s.db.Commit(ctx, dcs.Txn{If: append([]dcs.Compare{dcs.Unchanged(key, mod)}, also...), Then: []dcs.Op{dcs.Put(key, value, 0)}})
	return r.Succeeded, err
}
