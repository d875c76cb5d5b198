package node

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// onlooker is a host without PostgreSQL, a router's or the store's: it watches the cluster, makes the router's table, and shows the
// cluster to the API.
type onlooker struct {
	rest.NoPostgres
	cfg    *config.Config
	dcs    dcsclient.Client
	watch  *watcher
	peers  *peerClient
	route  func(*view)
	status atomic.Pointer[rest.NodeStatus]
	view   atomic.Pointer[view]

	mu      sync.Mutex // guards what follows
	changed chan struct{}
}

var _ rest.Backend = (*onlooker)(nil)

func newOnlooker(c *config.Config, client dcsclient.Client, log *slog.Logger, route func(*view)) (*onlooker, error) {
	o := &onlooker{cfg: c, dcs: client, route: route, changed: make(chan struct{})}
	peers, err := newPeerClient(c, peerKey(c))
	if err != nil {
		return nil, err
	}
	o.peers, o.ProbeFunc = peers, peers.probeAll
	o.watch = newWatcher(client, dcs.NewKeys(c.Namespace, c.Scope), log, o.see)
	o.WakeFunc = o.watch.again
	o.status.Store(&rest.NodeStatus{
		Name: c.Name, Scope: c.Scope, Version: PatroniVersion, Postgres: rest.Postgres{State: rest.StateStopped, Role: rest.RoleUninitialized},
	})
	return o, nil
}

// see is told by the watcher, one call after the other.
func (o *onlooker) see(e viewEvent) {
	last := o.view.Load()
	if e.cluster == nil || last != nil && isOlder(e.cluster, last.cluster) {
		o.publish(last)
		return
	}
	v := &view{cluster: e.cluster, seenAt: e.seenAt, scope: o.cfg.Scope}
	if last != nil {
		v.seenAt = max(v.seenAt, last.seenAt)
	}
	v.ttl = sharedConfig(o.cfg, e.cluster.Config).TTL
	o.view.Store(v)
	o.route(v)
	o.publish(v)
	if last == nil || last.cluster.Revision != v.cluster.Revision {
		o.mu.Lock()
		close(o.changed)
		o.changed = make(chan struct{})
		o.mu.Unlock()
	}
}

// isOlder says whether a view would lead back: two reads may overtake each other.
func isOlder(c, than *dcs.Cluster) bool {
	return c.ClusterID == than.ClusterID && c.Revision < than.Revision
}

// publish tells what is known; v is nil before the first read.
func (o *onlooker) publish(v *view) {
	now := boottime.Now()
	st := *o.status.Load()
	st.Loop = rest.Loop{Last: now, Next: now.Add(storeTimeout)}
	if v != nil {
		set := sharedConfig(o.cfg, v.cluster.Config)
		st.View = clusterView(v.cluster, v.seenAt, now, time.Now(), set)
	}
	o.status.Store(&st)
}

// Status implements [rest.Reader].
func (o *onlooker) Status() *rest.NodeStatus { return o.status.Load() }

// Cluster implements [rest.Reader].
func (o *onlooker) Cluster() *dcs.Cluster {
	if v := o.view.Load(); v != nil {
		return v.cluster
	}
	return nil
}

// ClusterChanged implements [rest.Reader].
func (o *onlooker) ClusterChanged() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// Decisions implements [rest.Reader]: an onlooker makes none.
func (o *onlooker) Decisions() []rest.DecisionRecord { return nil }

// Events implements [rest.Reader]: there are none but the end.
func (o *onlooker) Events(ctx context.Context) <-chan rest.Event {
	c := make(chan rest.Event)
	context.AfterFunc(ctx, func() { close(c) })
	return c
}

// ReadCluster implements [rest.Store].
func (o *onlooker) ReadCluster(ctx context.Context) (*dcs.Cluster, error) { return o.watch.load(ctx) }

// Commit implements [rest.Store].
func (o *onlooker) Commit(ctx context.Context, t dcs.Txn) (bool, error) {
	r, err := o.dcs.Commit(ctx, t)
	return r.Succeeded, err
}
