package raftstore

import (
	"context"
	"sync"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// gatedKV is the key-value store as the outside sees it. Reading mvcc after its backend was closed panics; requests and
// watches that are still under way while the store closes get an error here instead.
type gatedKV struct {
	mvcc.WatchableKV

	mu     sync.RWMutex // held for reading by reads, for writing by close alone
	closed bool
}

// Range implements mvcc.ReadView.
func (g *gatedKV) Range(ctx context.Context, key, end []byte, ro mvcc.RangeOptions) (*mvcc.RangeResult, error) {
	var r *mvcc.RangeResult
	err := g.reading(func() (err error) {
		r, err = g.WatchableKV.Range(ctx, key, end, ro)
		return err
	})
	return r, err
}

// reading runs f while the store is open.
func (g *gatedKV) reading(f func() error) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return etcderrors.ErrStopped
	}
	return f()
}

// Close waits for the reads under way.
func (g *gatedKV) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return g.WatchableKV.Close()
}
