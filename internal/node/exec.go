package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/internal/fence"
	"quorate/pgctl/ha"
)

// storeTimeout bounds one exchange with the store: a later answer would say nothing that still holds.
const storeTimeout = 1500 * time.Millisecond

// begin starts an action and returns. Its end comes to the loop as an event.
func (a *agent) begin(act ha.Action, k *known) {
	switch act := act.(type) {
	case ha.GrantLease:
		go a.grant(act.TTL)
	case ha.RenewLease:
		go a.renew(act.ID)
	case ha.AdoptLease:
		go a.takeUpLease(act.ID, k.set.TTL)
	case ha.Commit:
		done := make(chan struct{})
		a.sent = append(slices.DeleteFunc(a.sent, ended), done)
		go func() {
			defer close(done)
			a.commit(act)
		}()
	case ha.ArmFence:
		go a.arm(act)
	case ha.Unfence:
		go a.fenceCall(ha.LaneFence, func(ctx context.Context) error { return a.guard.Unfence(ctx, fence.Term(act.Term)) })
	case ha.FenceNow:
		a.log.Warn("fencing PostgreSQL", "why", act.Why)
		go a.fenceNow()
	case ha.AskPeers:
		go a.ask(act)
	case ha.SetSlots:
		go a.setSlots(act)
	case ha.AskFailsafe:
		go a.askFailsafe(act)
	case ha.Exit:
		go a.exit(act, slices.Clone(a.sent))
	default:
		a.operate(act, k)
	}
}

// exit ends the agent once what it sent to the store has been answered: a key that it gives back would else keep the others waiting until
// its lease ends.
func (a *agent) exit(act ha.Exit, sent []chan struct{}) {
	for _, c := range sent {
		<-c // within storeTimeout
	}
	select {
	case a.exits <- exitOrder{act.Code, act.Why}:
	default:
	}
}

func ended(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (a *agent) grant(ttl time.Duration) {
	ctx, cancel := context.WithTimeout(a.ctx, storeTimeout)
	defer cancel()
	sent := boottime.Now()
	id, err := a.dcs.Grant(ctx, ttl)
	a.loop.post(leaseEvent{id: id, ttl: ttl, sent: sent, err: err})
}

func (a *agent) renew(id int64) {
	ctx, cancel := context.WithTimeout(a.ctx, storeTimeout)
	defer cancel()
	ttl, sent, err := a.dcs.KeepAlive(ctx, id)
	a.renewed(id, ttl, sent, err)
}

func (a *agent) takeUpLease(id int64, ttl time.Duration) {
	ctx, cancel := context.WithTimeout(a.ctx, storeTimeout)
	defer cancel()
	ttl, sent, err := a.dcs.Adopt(ctx, id, ttl)
	a.renewed(id, ttl, sent, err)
}

func (a *agent) renewed(id int64, ttl time.Duration, sent boottime.Instant, err error) {
	if err != nil {
		sent = boottime.Now()
	}
	a.loop.post(leaseEvent{id: id, ttl: ttl, sent: sent, gone: errors.Is(err, dcsclient.ErrLeaseNotFound), err: err})
}

func (a *agent) commit(c ha.Commit) {
	ctx, cancel := context.WithTimeout(a.ctx, storeTimeout)
	defer cancel()
	r, err := a.dcs.Commit(ctx, c.Txn)
	if errors.Is(err, dcsclient.ErrLeaseNotFound) {
		a.loop.post(leaseEvent{id: leaseIn(c), gone: true, err: err})
	}
	if err != nil {
		if a.unchanged.news(c.What, boottime.Now()) {
			a.log.Warn("store change failed", "change", c.What, "error", dcsclient.Words(err))
		}
		a.watch.again()
	} else {
		a.unchanged.over()
	}
	a.loop.post(commitEvent{lane: c.In, what: c.What, succeeded: r.Succeeded, cluster: r.ClusterID, revision: r.Revision, made: r.Made, at: boottime.Now(), err: err})
}

func leaseIn(c ha.Commit) int64 {
	for _, op := range c.Txn.Then {
		if op.Lease != 0 {
			return op.Lease
		}
	}
	return 0
}

func (a *agent) arm(act ha.ArmFence) {
	a.fenceCall(ha.LaneFence, func(ctx context.Context) error {
		return a.guard.Lease(ctx, fence.Term(act.Term), act.Deadline)
	})
}

func (a *agent) fenceCall(_ ha.Lane, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(a.ctx, time.Second)
	defer cancel()
	err := call(ctx)
	if err != nil && !errors.Is(err, fence.ErrLost) {
		if a.fenceNo.news(err, boottime.Now()) {
			a.log.Warn("the fence refuses", "error", err)
		}
		// The lane stays busy meanwhile: what the fence refuses now it refuses a millisecond later, too.
		select {
		case <-time.After(refusalPause):
		case <-a.ctx.Done():
		}
	}
	a.loop.post(armedEvent{a.fenceState(), err})
}

// fenceNow kills everything and waits until it has gone, for a while: what cannot be killed at once (a process that hangs in
// the disk) cannot acknowledge anything either, because the signal comes before its next instruction.
func (a *agent) fenceNow() {
	ctx, cancel := context.WithTimeout(a.ctx, 2*time.Second)
	defer cancel()
	go a.revoke(ctx) // beside it: nothing may hold up the kill
	if err := a.guard.Kill(ctx); err != nil {
		a.log.Error("the fence does not answer", "error", err)
	}
	a.loop.post(fenceEvent{a.fenceState()})
	_, _ = a.guard.Wait(ctx)
	a.loop.post(killedEvent{a.fenceState()})
	a.loop.post(pgEvent{a.inspect(a.ctx)}) // last: it reads a disk that may hang
}

// killedEvent ends a FenceNow.
type killedEvent struct{ fence ha.Fence }

func (e killedEvent) fold(k *known) {
	k.free(ha.LaneKill)
	k.fence = e.fence
}
