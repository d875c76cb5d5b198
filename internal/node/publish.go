package node

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/raftstore/dcs"
)

// publisher shows what the loop knows: the newest wins, and nobody who looks can hold the loop up.
type publisher struct {
	a      *agent
	route  func(*view)
	view   atomic.Pointer[view]
	status atomic.Pointer[rest.NodeStatus]
	last   atomic.Pointer[instance.Sample]
	poked  boottime.Instant

	backlog func() (waiting, lost int) // of the log; may be nil

	mu      sync.Mutex // guards what follows
	shown   chan struct{}
	changed chan struct{}
	rev     int64
	readers map[chan rest.Event]bool
}

// usualLogQueue is how many lines may wait without being worth a word (patroni/log.py, NORMAL_LOG_QUEUE_SIZE).
const usualLogQueue = 2

func newPublisher(a *agent, route func(*view)) *publisher {
	p := &publisher{a: a, route: route, changed: make(chan struct{}), shown: make(chan struct{}), readers: map[chan rest.Event]bool{}}
	p.status.Store(&rest.NodeStatus{Name: a.cfg.Name, Scope: a.cfg.Scope, Version: PatroniVersion})
	p.last.Store(&instance.Sample{})
	return p
}

func (p *publisher) sample(s instance.Sample) { p.last.Store(&s) }

// show is called by the loop after each decision.
func (p *publisher) show(s ha.Snapshot, d ha.Decision) {
	v := &view{
		cluster: s.Store.Cluster, seenAt: s.Store.SeenAt, snap: s, reason: d.Reason, hold: d.Hold, own: true, scope: p.a.cfg.Scope,
		ttl: s.Set.TTL, op: p.a.loop.known.opText, opSince: p.a.loop.known.opSince,
		failed: p.a.loop.known.failed,
	}
	v.served = p.a.loop.known.served
	p.a.observe(&s)
	p.view.Store(v)
	p.status.Store(p.nodeStatus(v, d))
	p.route(v)
	p.tellChanged(v)
	p.hurry(s, d)
}

// hurry has PostgreSQL looked at more often while something is under way.
func (p *publisher) hurry(s ha.Snapshot, d ha.Decision) {
	pause := 50 * time.Millisecond
	switch d.Reason.Code {
	case ha.CodeLeading:
		pause = 200 * time.Millisecond
		if !s.Set.SynchronousMode.Enabled() || s.Store.Cluster == nil || len(s.Store.Cluster.Sync.Standbys) > 0 {
			return
		}
	case ha.CodeFollowing:
		if s.PG.Streaming {
			return
		}
		pause = 100 * time.Millisecond
	case ha.CodePaused, ha.CodeNoStore, ha.CodeFatal:
		return
	}
	if s.PG.Phase == ha.Stopped || s.Now.Sub(p.poked) < pause {
		return
	}
	p.poked = s.Now
	p.a.mon.Poke()
}

func (p *publisher) tellChanged(v *view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.shown)
	p.shown = make(chan struct{})
	if v.cluster == nil || v.cluster.Revision == p.rev {
		return
	}
	p.rev = v.cluster.Revision
	close(p.changed)
	p.changed = make(chan struct{})
}

// shownNext is closed when the next status has been published.
func (p *publisher) shownNext() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown
}

func (p *publisher) clusterChanged() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// decision tells those who follow the events.
func (p *publisher) decision(r rest.DecisionRecord) {
	b, err := json.Marshal(r)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.readers {
		select {
		case c <- rest.Event{Kind: "decision", Data: b}:
		default: // too slow: cut off, to come back and read the present state
			delete(p.readers, c)
			close(c)
		}
	}
}

func (p *publisher) events(ctx context.Context) <-chan rest.Event {
	c := make(chan rest.Event, 64)
	p.mu.Lock()
	p.readers[c] = true
	p.mu.Unlock()
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.readers[c] {
			delete(p.readers, c)
			close(c)
		}
	})
	return c
}

// nodeStatus is the API's view of a decision.
func (p *publisher) nodeStatus(v *view, d ha.Decision) *rest.NodeStatus {
	s := &v.snap
	st := &rest.NodeStatus{
		Name: s.Self.Name, Scope: v.scope, Version: PatroniVersion, Tags: s.Self.Tags,
		Postgres: p.postgres(s), Loop: rest.Loop{Last: s.Now, Next: d.Wake}, Reason: d.Reason.Text, PauseHolds: ha.PauseHolds(s),
		WatchdogFailed: s.Self.WatchdogRequired && (!s.Fence.Connected || s.Self.WatchdogFailed), ScheduledRestart: p.a.requests.pending(),
	}
	if p.backlog != nil {
		if waiting, lost := p.backlog(); waiting > usualLogQueue || lost > 0 {
			st.LogQueue, st.LogLost = waiting, lost
		}
	}
	st.View = clusterView(v.cluster, s.Store.SeenAt, s.Now, s.Wall, s.Set)
	if c := v.cluster; c != nil {
		if l := c.Leader; l != nil && l.Name == s.Self.Name && l.Lease == s.Lease.ID {
			st.Lease = rest.Lease{Held: open(v, l) || leadsReading(&v.snap), ValidUntil: s.LeadUntil(), Term: l.Term}
		}
		st.Sync = syncRole(c, s.Self.Name, string(s.Set.SynchronousMode))
		st.Failsafe = rest.Failsafe{Enabled: s.Set.FailsafeMode && c.FailsafeRev != 0, Active: s.FailsafeActive(), Members: c.Failsafe}
	}
	st.FailedHooks, st.FailedOperation = p.a.hooks.failures(), v.failed
	if v.op != "" {
		st.Operation = &rest.Operation{Kind: v.op, Since: v.opSince}
		if pr := p.a.progress.Load(); pr != nil {
			st.Operation.Done, st.Operation.Total, st.Operation.Text = pr.Done, pr.Total, pr.Step
		}
	}
	if len(s.PG.PendingRestartReason) > 0 {
		_ = json.Unmarshal(s.PG.PendingRestartReason, &st.PendingRestart)
	}
	return st
}

// clusterView is the API's summary of a view of the cluster; c is nil before the first read.
func clusterView(c *dcs.Cluster, seenAt, now boottime.Instant, wall time.Time, set dynamic.Config) rest.ClusterView {
	out := rest.ClusterView{
		SeenAt: seenAt, Paused: set.Pause, StandbyCluster: set.StandbyCluster != nil, MaxLag: set.MaximumLagOnFailover, TTL: set.TTL,
		LoopWait: set.LoopWait,
	}
	if !seenAt.IsZero() {
		out.LastSeen = wall.Add(-now.Sub(seenAt))
	}
	if c != nil {
		out.Leader, out.Optime = c.LeaderName(), uint64(c.Status.Optime)
	}
	return out
}

func syncRole(c *dcs.Cluster, name, mode string) rest.SyncRole {
	if c.Sync.Mod == 0 || c.Sync.Leader == name || !c.Sync.Has(name) {
		return rest.SyncNone
	}
	if mode == "quorum" {
		return rest.SyncQuorum
	}
	return rest.SyncOn
}

func (p *publisher) postgres(s *ha.Snapshot) rest.Postgres {
	out := rest.Postgres{
		State: rest.State(ha.StateText(s)), Role: rest.Role(ha.RoleText(s)), Running: s.PG.Phase != ha.Stopped, SystemID: s.PG.SystemID,
		Timeline: uint32(s.PG.Timeline), ReplicationState: s.PG.ReplState,
	}
	sample := p.last.Load()
	if s.PG.Phase != ha.Running || sample.Err != nil || sample.StatusAt.IsZero() {
		return out
	}
	st := sample.Status
	out.Answering, out.StartedAt, out.ServerVersion = true, st.StartedAt, int(st.Version)
	out.Location, out.Received, out.Replayed = uint64(st.Current), uint64(st.Received), uint64(st.Replayed)
	out.ReplayedAt, out.ReplayPaused = st.ReplayedXactAt, st.ReplayPaused
	for _, r := range st.Standbys {
		row := rest.ReplicationRow{User: r.User, ApplicationName: r.Name, State: r.State, SyncState: r.SyncState, SyncPriority: r.SyncPriority}
		if r.Addr != "" {
			addr := r.Addr
			row.ClientAddr = &addr
		}
		out.Replication = append(out.Replication, row)
	}
	return out
}
