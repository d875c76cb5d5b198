package node

import (
	"context"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"

	"quorate/api/etcd2"
	"quorate/raftstore"
	"quorate/raftstore/v2keys"
)

// v2Store shows the store to the v2 API, which may not know it.
type v2Store struct{ *raftstore.Store }

func (s v2Store) V2Change(ctx context.Context, r etcd2.Request) (*v2store.Event, error) {
	return s.Store.V2Change(ctx, v2keys.Request(r))
}
