package etcd2

import (
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// presenter turns events as the store keeps them into what clients see. In the store an expiration is in cluster time, in
// an answer it is a date, for people to read, and the whole seconds that are left.
type presenter struct {
	cluster time.Time // now, in cluster time
	wall    time.Time // now, on the clock on the wall
}

// event copies: the store's events are shared.
func (p presenter) event(e *v2store.Event) *v2store.Event {
	out := e.Clone()
	p.node(out.Node)
	p.node(out.PrevNode)
	return out
}

func (p presenter) node(n *v2store.NodeExtern) {
	if n == nil {
		return
	}
	if n.Key == "/" {
		n.Key = "" // as etcd shows the root: its own prefix, taken off, leaves nothing
	}
	if n.Expiration != nil {
		left := n.Expiration.Sub(p.cluster)
		date := p.wall.Add(left).UTC()
		n.Expiration, n.TTL = &date, roundUp(left)
	}
	for _, child := range n.Nodes {
		p.node(child)
	}
}

// roundUp is whole seconds: a key that is still there has at least one left, one that is overdue none or fewer.
func roundUp(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d > time.Duration(s)*time.Second {
		s++
	}
	return s
}

// withoutNodes is an event for a client that wants to know only that its write has succeeded (noValueOnSuccess).
func withoutNodes(e *v2store.Event) *v2store.Event {
	switch e.Action {
	case v2store.Set, v2store.CompareAndSwap, v2store.Create, v2store.Update:
		e.Node, e.PrevNode = nil, nil
	}
	return e
}
