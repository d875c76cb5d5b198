package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"quorate/api/rest"
	"quorate/pgctl/ha"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// backend is the node behind the HTTP API.
type backend struct {
	a      *agent
	reload func(context.Context) error
}

func (b *backend) Status() *rest.NodeStatus { return b.a.pub.status.Load() }

func (b *backend) Cluster() *dcs.Cluster {
	if v := b.a.pub.view.Load(); v != nil {
		return v.cluster
	}
	return nil
}

func (b *backend) ClusterChanged() <-chan struct{} { return b.a.pub.clusterChanged() }

func (b *backend) Decisions() []rest.DecisionRecord { return b.a.loop.history.list() }

func (b *backend) Events(ctx context.Context) <-chan rest.Event { return b.a.pub.events(ctx) }

func (b *backend) ReadCluster(ctx context.Context) (*dcs.Cluster, error) { return b.a.watch.load(ctx) }

func (b *backend) Commit(ctx context.Context, t dcs.Txn) (bool, error) { return b.a.commitNow(ctx, t) }

func (b *backend) Wake() { b.a.loop.post(wakeEvent{}) }

// Restart asks the loop for a restart and waits for its end.
func (b *backend) Restart(ctx context.Context, r rest.RestartRequest) error {
	if op := b.a.opKind.Load(); op != nil {
		return &rest.BusyError{Operation: *op}
	}
	id, done := b.a.requests.restart()
	b.a.loop.post(askEvent{func(k *ha.Asked) { k.Restart = &ha.RestartRequest{ID: id} }})
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	select {
	case err := <-done:
		b.a.loop.post(askEvent{func(k *ha.Asked) { k.Restart = nil }})
		if err != nil {
			return errors.Join(rest.ErrRestartFailed, err)
		}
		return nil
	case <-ctx.Done():
		return rest.ErrStillStarting
	}
}

func (b *backend) ScheduleRestart(_ context.Context, r rest.RestartRequest) error {
	return b.a.requests.schedule(b, r)
}

func (b *backend) CancelRestart(context.Context) error { return b.a.requests.unschedule() }

func (b *backend) Reinitialize(_ context.Context, r rest.ReinitRequest) error {
	c := b.Cluster()
	switch {
	case c.LeaderName() == "":
		return rest.ErrNoLeader
	case c.LeaderName() == b.a.cfg.Name:
		return rest.ErrIsLeader
	}
	if op := b.a.opKind.Load(); op != nil && !r.Force {
		return &rest.BusyError{Operation: *op}
	}
	id := b.a.requests.reinit()
	b.a.loop.post(askEvent{func(k *ha.Asked) { k.Reinit = &ha.ReinitRequest{ID: id, FromLeader: r.FromLeader} }})
	return nil
}

func (b *backend) Reload(ctx context.Context) error { return b.reload(ctx) }

func (b *backend) Failsafe(context.Context, rest.FailsafeRequest) (uint64, error) {
	return 0, rest.ErrFailsafeOff
}

// Pledge promises to take nothing more from terms up to the one named, and tells how far the log goes.
func (b *backend) Pledge(ctx context.Context, r rest.PledgeRequest) (rest.PledgeAnswer, error) {
	v := b.a.pub.view.Load()
	if v == nil {
		return rest.PledgeAnswer{}, errors.New("this node has not looked around yet")
	}
	s := &v.snap
	out := rest.PledgeAnswer{
		Name: s.Self.Name, SystemID: s.PG.SystemID, Running: s.PG.Phase == ha.Running, Primary: s.PG.Phase != ha.Stopped && !s.PG.InRecovery,
		Timeline: uint32(s.PG.Timeline), FlushLSN: uint64(s.PG.FlushLSN), ReplayLSN: uint64(s.PG.ReplayLSN), Pledged: s.PG.Pledged,
		NoFailover: s.Self.NoFailover, FailoverPriority: s.Self.FailoverPriority,
	}
	if c := v.cluster; c != nil {
		out.Sync = c.Sync.Has(s.Self.Name)
		if l := c.Leader; l != nil && l.Term.Rev > r.Term.Rev && l.Name == s.Self.Name {
			return out, rest.ErrPledgeRefused // asked by somebody who has not seen the newest term yet
		}
	}
	if out.Primary {
		return out, nil // it promises nothing: it has to end first
	}
	if s.PG.Phase != ha.Running {
		return out, b.a.pledged.raise(r.Term)
	}
	pos, change, err := b.a.askedToPledge(ctx, r.Term)
	if err != nil {
		return out, err
	}
	b.a.loop.post(pgEvent{change})
	out.Pledged, out.Timeline, out.FlushLSN, out.ReplayLSN = r.Term, uint32(pos.Timeline), uint64(pos.Flush), uint64(pos.Replay)
	out.HistoryTail = tail(pos.History.Switches)
	return out, nil
}

func tail(in []postgres.Switch) []dcs.HistoryLine {
	out := []dcs.HistoryLine{}
	for _, s := range in[max(0, len(in)-8):] {
		out = append(out, dcs.HistoryLine{Timeline: uint32(s.Timeline), LSN: uint64(s.End), Reason: s.Reason})
	}
	return out
}

// Probe asks the members whether they could be promoted.
func (b *backend) Probe(ctx context.Context, members []dcs.Member) []rest.Candidate {
	return b.a.peers.probeAll(ctx, members)
}

// requests are what operators wait for.
type requests struct {
	mu        sync.Mutex
	next      uint64
	restarts  map[uint64]chan error
	reinits   map[uint64]bool
	scheduled *rest.RestartRequest
	timer     *time.Timer
}

func (r *requests) restart() (uint64, <-chan error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	c := make(chan error, 1)
	if r.restarts == nil {
		r.restarts = map[uint64]chan error{}
	}
	r.restarts[r.next] = c
	return r.next, c
}

func (r *requests) reinit() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	if r.reinits == nil {
		r.reinits = map[uint64]bool{}
	}
	r.reinits[r.next] = true
	return r.next
}

// mayDiscard says whether an operator has asked for the folder to be made anew: his word allows to give a second diverged folder up.
func (r *requests) mayDiscard() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.reinits) > 0
}

// done tells whoever waits for the end of an operation.
func (r *requests) done(act ha.Action, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch act := act.(type) {
	case ha.Restart:
		if c, ok := r.restarts[act.ID]; ok {
			delete(r.restarts, act.ID)
			c <- err
		}
	case ha.Clone:
		if err == nil {
			clear(r.reinits)
		}
	}
}

func (r *requests) schedule(b *backend, req rest.RestartRequest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scheduled != nil {
		return rest.ErrRestartScheduled
	}
	r.scheduled = &req
	r.timer = time.AfterFunc(time.Until(req.Schedule), func() { r.due(b) })
	return nil
}

func (r *requests) due(b *backend) {
	r.mu.Lock()
	req := r.scheduled
	r.scheduled = nil
	r.mu.Unlock()
	if req == nil {
		return
	}
	if ok, why := req.Matches(b.Status()); !ok {
		b.a.log.Info("the scheduled restart was left out", "why", why)
		return
	}
	if err := b.Restart(b.a.ctx, *req); err != nil {
		b.a.log.Error("the scheduled restart failed", "error", err)
	}
}

func (r *requests) unschedule() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scheduled == nil {
		return rest.ErrNoRestart
	}
	r.timer.Stop()
	r.scheduled = nil
	return nil
}
