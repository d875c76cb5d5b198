package node

import (
	"context"
	"errors"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
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

// Restart asks the loop for a restart and waits until PostgreSQL answers again.
func (b *backend) Restart(ctx context.Context, r rest.RestartRequest) error {
	if op := b.a.opKind.Load(); op != nil {
		return &rest.BusyError{Operation: *op}
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	id, done := b.a.requests.restart()
	b.a.loop.post(askEvent{func(k *ha.Asked) { k.Restart = &ha.RestartRequest{ID: id, Timeout: r.Timeout} }})
	select {
	case err := <-done:
		if err != nil {
			return errors.Join(rest.ErrRestartFailed, err)
		}
		return b.awaitAnswer(ctx)
	case <-ctx.Done():
		b.a.requests.withdraw(id) // what has begun goes on
		return rest.ErrStillStarting
	}
}

// awaitAnswer waits until PostgreSQL has answered a question that was asked after now, and until that shows in the status.
func (b *backend) awaitAnswer(ctx context.Context) error {
	from := boottime.Now()
	b.a.mon.Poke()
	for {
		shown := b.a.pub.shownNext()
		if b.Status().Postgres.Answering && b.a.pub.last.Load().Asked.After(from) {
			return nil
		}
		select {
		case <-shown:
		case <-ctx.Done():
			return rest.ErrStillStarting
		}
	}
}

// ScheduleRestart remembers a restart of the PostgreSQL that runs now.
func (b *backend) ScheduleRestart(_ context.Context, r rest.RestartRequest) error {
	runs := b.Status().Postgres.StartedAt
	return b.a.requests.schedule(r, func() { b.scheduledRestart(r, runs) })
}

// scheduledRestart carries a scheduled restart out, unless PostgreSQL was restarted meanwhile or the conditions do not hold.
func (b *backend) scheduledRestart(r rest.RestartRequest, runs time.Time) {
	st := b.Status()
	ok, why := r.Matches(st)
	if ok && !st.Postgres.StartedAt.Equal(runs) {
		ok, why = false, "PostgreSQL was restarted meanwhile"
	}
	if ok && st.View.Paused {
		ok, why = false, "the cluster is paused"
	}
	if !ok {
		b.a.log.Info("the scheduled restart was left out", "why", why)
		return
	}
	if err := b.Restart(b.a.ctx, r); err != nil {
		b.a.log.Error("the scheduled restart failed", "error", err)
	}
}

// CancelRestart forgets the scheduled restart.
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

// Pledge promises to take nothing more from terms up to the one named, and tells how far the log goes.
func (b *backend) Pledge(ctx context.Context, r rest.PledgeRequest) (rest.PledgeAnswer, error) {
	v := b.a.pub.view.Load()
	if v == nil {
		return rest.PledgeAnswer{}, errors.New("this node has not looked around yet")
	}
	s := &v.snap
	out := rest.PledgeAnswer{
		Name: s.Self.Name, SystemID: s.PG.SystemID, Running: s.PG.Phase == ha.Running, Primary: mayAcknowledge(s),
		Timeline: uint32(s.PG.Timeline), FlushLSN: uint64(s.PG.FlushLSN), ReplayLSN: uint64(s.PG.ReplayLSN), Pledged: s.PG.Pledged,
		NoFailover: s.Self.NoFailover, FailoverPriority: s.Self.FailoverPriority, WatchdogFailed: s.Self.WatchdogRequired && s.Self.WatchdogFailed,
	}
	if c := v.cluster; c != nil {
		out.Sync = c.Sync.Has(s.Self.Name)
		if l := c.Leader; l != nil && l.Term.Rev > r.Term.Rev && l.Name == s.Self.Name {
			return out, rest.ErrPledgeRefused // asked by somebody who has not seen the newest term yet
		}
	}
	if s.Promised() {
		return out, rest.ErrPledgeRefused // the primary that it was given to goes on
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
	out.History = switches(pos.History.Switches)
	return out, nil
}

// mayAcknowledge says whether this node's PostgreSQL may still tell a client that something is committed. What the fence has killed
// may hang in a disk for long, but no instruction of it runs any more.
func mayAcknowledge(s *ha.Snapshot) bool {
	if !s.Fence.Term.IsZero() && s.Fence.Fired == s.Fence.Term {
		return false
	}
	return s.PG.Phase != ha.Stopped && !s.PG.InRecovery
}

func switches(in []postgres.Switch) []dcs.HistoryLine {
	out := []dcs.HistoryLine{}
	for _, s := range in {
		out = append(out, dcs.HistoryLine{Timeline: uint32(s.Timeline), LSN: uint64(s.End), Reason: s.Reason})
	}
	return out
}

// Probe asks the members whether they could be promoted.
func (b *backend) Probe(ctx context.Context, members []dcs.Member) []rest.Candidate {
	return b.a.peers.probeAll(ctx, members)
}
