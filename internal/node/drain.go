package node

import (
	"context"
	"sync"
	"time"

	"quorate/proxy"
	"quorate/raftstore/dcs"
)

// drains let sessions to the primary run out before a planned change (proxy.drain): those that stand between two transactions end first, and
// work in progress has that time to come to its end. Routers learn of the change from the request in the store, the primary's own one from
// its agent, too, which waits for it.
type drains struct {
	mu  sync.Mutex
	one *drain // the newest; nil when it was called off
}

type drain struct {
	term   proxy.Term
	cancel context.CancelFunc
	done   chan struct{} // closed when no session is left, or the time is over
}

// begin drains the term's sessions, unless that is being done or has been done. It does not block.
func (n *Node) beginDrain(t proxy.Term) *drain {
	n.drains.mu.Lock()
	defer n.drains.mu.Unlock()
	if d := n.drains.one; d != nil && d.term == t {
		return d
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &drain{term: t, cancel: cancel, done: make(chan struct{})}
	n.drains.one = d
	go func() {
		defer close(d.done)
		n.runDrain(ctx)
	}()
	return d
}

func (n *Node) runDrain(ctx context.Context) {
	limit := n.proxyNow().Drain
	if limit <= 0 {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := n.router.Drain(ctx)
	n.log.Info("drained sessions to the primary before a planned change", "took", time.Since(began).Round(time.Millisecond).String(), "left", err)
}

// endDrain lets sessions to the primary start again: the change was called off, or has been made.
func (n *Node) endDrain() {
	n.drains.mu.Lock()
	d := n.drains.one
	n.drains.one = nil
	n.drains.mu.Unlock()
	if d == nil {
		return
	}
	d.cancel()
	go func() { // after it has begun
		<-d.done
		n.router.Undrain()
	}()
}

// followDrain begins and ends drains by what the store and this host's agent say.
func (n *Node) followDrain(v *view, t proxy.Term) {
	switch {
	case v.cluster == nil || v.cluster.Leader == nil || t.IsZero():
	case planned(v, v.cluster.Leader):
		n.beginDrain(t)
	default:
		n.endDrain()
	}
}

// planned says whether the leader is about to hand over. A change that is scheduled for later has not begun.
func planned(v *view, l *dcs.Leader) bool {
	f := v.cluster.Failover
	asked := !f.IsZero() && f.ScheduledAt == "" && (f.Leader == "" || f.Leader == l.Name)
	return asked || v.own && v.snap.Mem.Handover.Term == l.Term && l.Name == v.snap.Self.Name
}

// drainFirst is called by the agent before PostgreSQL is stopped for a change that is planned, while it still serves.
func (n *Node) drainFirst(ctx context.Context) {
	if n.router == nil || n.proxyNow().Drain <= 0 {
		return
	}
	t := n.router.Term()
	if t.IsZero() {
		return
	}
	select {
	case <-n.beginDrain(t).done:
	case <-ctx.Done():
	}
}
