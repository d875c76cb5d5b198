package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// watcher keeps a view of one cluster's keys: a list, then the changes from there on, and a list again now and then, which
// confirms by a linearizable read that nothing newer was missed.
type watcher struct {
	dcs  dcsclient.Client
	keys dcs.Keys
	log  *slog.Logger
	tell func(viewEvent)
	look chan struct{} // list again now

	kvs     map[string]dcsclient.KV
	rev     int64
	cluster uint64
	outage  outage
}

// Times of the watcher.
const (
	confirmEvery = time.Second
	retryAfter   = 200 * time.Millisecond
)

func newWatcher(c dcsclient.Client, k dcs.Keys, log *slog.Logger, tell func(viewEvent)) *watcher {
	return &watcher{dcs: c, keys: k, log: log, tell: tell, look: make(chan struct{}, 1)}
}

// again asks for a list now: something happened whose outcome is not known.
func (w *watcher) again() {
	select {
	case w.look <- struct{}{}:
	default:
	}
}

// run keeps the view until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.list(ctx); err != nil {
			w.failed(err)
			sleep(ctx, retryAfter)
			continue
		}
		w.follow(ctx)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (w *watcher) failed(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.outage.failed(w.log, boottime.Now(), err)
	w.tell(viewEvent{err: err})
}

// list reads everything.
func (w *watcher) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := w.dcs.Load(ctx, w.keys.Prefix())
	if err != nil {
		return err
	}
	w.outage.over(w.log, boottime.Now())
	changed := w.kvs == nil || s.ClusterID != w.cluster || s.Revision > w.rev
	w.cluster, w.rev = s.ClusterID, s.Revision
	if changed {
		w.kvs = make(map[string]dcsclient.KV, len(s.KVs))
		for _, kv := range s.KVs {
			w.kvs[kv.Key] = kv
		}
	}
	w.show(s.ReadAt)
	return nil
}

// load reads the cluster for somebody else, without touching the view.
func (w *watcher) load(ctx context.Context) (*dcs.Cluster, error) {
	s, err := w.dcs.Load(ctx, w.keys.Prefix())
	if err != nil {
		return nil, err
	}
	kvs := make([]dcs.KV, 0, len(s.KVs))
	for _, kv := range s.KVs {
		kvs = append(kvs, asKV(kv))
	}
	return dcs.Parse(w.keys, s.ClusterID, s.Revision, kvs), nil
}

func asKV(kv dcsclient.KV) dcs.KV {
	return dcs.KV{Key: kv.Key, Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Lease: kv.Lease}
}

// follow takes the changes until the watch ends.
func (w *watcher) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates := w.dcs.Watch(ctx, w.keys.Prefix(), w.rev+1)
	confirm := time.NewTicker(confirmEvery)
	defer confirm.Stop()
	for {
		select {
		case u, ok := <-updates:
			if !ok || u.Err != nil {
				return
			}
			w.apply(u)
		case <-confirm.C:
			if w.reread(ctx) != nil {
				return
			}
		case <-w.look:
			if w.reread(ctx) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// reread confirms the view. Changes that the list already holds come once more by the watch and are passed over.
func (w *watcher) reread(ctx context.Context) error {
	err := w.list(ctx)
	if err != nil {
		w.failed(err)
	}
	return err
}

func (w *watcher) apply(u dcsclient.Update) {
	if u.Revision <= w.rev {
		return
	}
	for _, e := range u.Events {
		if e.KV.ModRevision <= w.rev {
			continue
		}
		if e.Type == dcsclient.Delete {
			delete(w.kvs, e.KV.Key)
		} else {
			w.kvs[e.KV.Key] = e.KV
		}
	}
	w.rev = u.Revision
	w.show(0)
}

func (w *watcher) show(readAt boottime.Instant) {
	kvs := make([]dcs.KV, 0, len(w.kvs))
	for _, kv := range w.kvs {
		kvs = append(kvs, asKV(kv))
	}
	w.tell(viewEvent{cluster: dcs.Parse(w.keys, w.cluster, w.rev, kvs), seenAt: readAt})
}
