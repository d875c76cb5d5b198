package raftstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// confirmer confirms, for all that wait at once, that this node still leads: it asks the voters for their terms, with
// requests that were sent after the waiting ones came in. When a quorum answers with no newer term than ours, no newer
// leader had been elected when we asked. hashicorp/raft's VerifyLeader cannot be used: it takes a reply to a request that
// was sent before the question, so a leader that was stopped and resumed may confirm itself by what is still in its
// socket buffers.
//
// The same requests carry the leases that are about to be renewed, so that a quorum has heard of a renewal before it is
// acknowledged: see leaseTimes.promote.
type confirmer struct {
	store *Store

	mu      sync.Mutex // guards waiting, asking, lateness and lates
	waiting []*confirmation
	asking  map[raft.ServerID]int // calls on their way, per voter
	kick    chan struct{}
	// lateness is when a voter was last late, as lates counts.
	lateness map[raft.ServerID]int
	lates    int
}

// confirmation is one who waits.
type confirmation struct {
	bounds []leaseBound
	done   chan error // buffered
}

// maxBatchedRenewals bounds the renewals of one round.
const maxBatchedRenewals = 10000

// maxAsking bounds the calls on their way to one voter. Rounds come one at a time, so only a voter that does not answer
// ever has more than a few.
const maxAsking = 16

func newConfirmer(s *Store) *confirmer {
	return &confirmer{store: s, asking: map[raft.ServerID]int{}, lateness: map[raft.ServerID]int{}, kick: make(chan struct{}, 1)}
}

// begin counts a call to a voter, or refuses it.
func (c *confirmer) begin(id raft.ServerID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking[id] >= maxAsking {
		return false
	}
	c.asking[id]++
	return true
}

func (c *confirmer) end(id raft.ServerID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking[id]--
}

// confirm returns nil once a quorum confirmed that this node leads, and heard of bounds.
func (c *confirmer) confirm(ctx context.Context, bounds ...leaseBound) error {
	w := &confirmation{bounds: bounds, done: make(chan error, 1)}
	c.mu.Lock()
	if len(c.waiting) >= maxBatchedRenewals {
		c.mu.Unlock()
		return etcderrors.ErrTooManyRequests
	}
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default:
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.store.ctx.Done():
		return etcderrors.ErrStopped
	}
}

func (c *confirmer) run() {
	for {
		select {
		case <-c.kick:
		case <-c.store.ctx.Done():
			return
		}
		c.mu.Lock()
		batch := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		err := c.round(batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

func (c *confirmer) round(batch []*confirmation) error {
	n := c.store.node.Load()
	if n == nil {
		return etcderrors.ErrNoLeader
	}
	term, _ := c.store.lead.get()
	if term == 0 || !n.leads(term) {
		return errNotLeaderRetry
	}
	msg := confirmRequest{Term: term}
	for _, w := range batch {
		msg.Bounds = append(msg.Bounds, w.bounds...)
	}
	body := msg.encode()
	ctx, cancel := context.WithTimeout(c.store.ctx, c.store.opts.ElectionTimeout)
	began := time.Now()
	ask := func(_ context.Context, srv raft.Server) error {
		// A late answer still tells the peer of the renewals and is not worth cutting off with the round.
		ctx, cancel := context.WithTimeout(c.store.ctx, c.store.opts.ElectionTimeout)
		defer cancel()
		return c.ask(ctx, srv, term, body)
	}
	var err error
	if len(msg.Bounds) > 0 {
		err = c.store.askQuorum(ctx, n, ask) // the more members know what is left of leases, the better
	} else {
		err = c.askFew(ctx, n, ask)
	}
	cancel()
	c.store.metrics.confirmed(time.Since(began), err == nil)
	if err != nil {
		return etcderrors.ErrNoLeader
	}
	if !n.leads(term) {
		return errNotLeaderRetry
	}
	return nil
}

// askFew is askQuorum that does not trouble more voters than a quorum takes, as long as these answer soon: under load the
// questions are what a read costs. Those that were late are asked last from then on.
func (c *confirmer) askFew(ctx context.Context, n *node, ask func(context.Context, raft.Server) error) error {
	first := c.first(n)
	all := make(chan struct{})
	askAll := sync.OnceFunc(func() {
		c.late(first)
		close(all)
	})
	defer time.AfterFunc(c.store.opts.ElectionTimeout/50, askAll).Stop()
	return c.store.askQuorum(ctx, n, func(ctx context.Context, srv raft.Server) error {
		if slices.Contains(first, srv.ID) {
			err := ask(ctx, srv)
			if err != nil {
				askAll()
			}
			return err
		}
		select {
		case <-all:
			return ask(ctx, srv)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// first is whom askFew asks first: with this node they are a quorum.
func (c *confirmer) first(n *node) []raft.ServerID {
	var list []raft.ServerID
	voters := n.voters()
	need := len(voters)/2 + 1
	for _, v := range voters {
		if v.ID == n.self {
			need--
			continue
		}
		list = append(list, v.ID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(list, func(a, b raft.ServerID) int { return cmp.Compare(c.lateness[a], c.lateness[b]) })
	return list[:min(need, len(list))]
}

// late notes that voters were.
func (c *confirmer) late(list []raft.ServerID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range list {
		c.lates++
		c.lateness[id] = c.lates
	}
}

func (c *confirmer) ask(ctx context.Context, srv raft.Server, term uint64, body []byte) error {
	if !c.begin(srv.ID) {
		return errNotSent
	}
	defer c.end(srv.ID)
	began := time.Now()
	b, err := c.store.conns.call(ctx, memberID(srv.ID), hostPort(srv.Address), methodConfirm, body)
	if err != nil {
		return err
	}
	c.store.metrics.peerSeconds.WithLabelValues(string(srv.ID)).Observe(time.Since(began).Seconds())
	r := reader{buf: b}
	theirs := r.u64()
	if err := r.done("confirmation"); err != nil {
		return err
	}
	if theirs > term {
		return errStaleTerm
	}
	return nil
}

// confirmRequest is methodConfirm's request. The reply is the peer's term.
type confirmRequest struct {
	Term   uint64
	Bounds []leaseBound
}

func (m confirmRequest) encode() []byte {
	var w writer
	w.u64(m.Term)
	writeBounds(&w, m.Bounds)
	return w
}

func decodeConfirm(b []byte) (confirmRequest, error) {
	r := reader{buf: b}
	m := confirmRequest{Term: r.u64(), Bounds: readBounds(&r)}
	return m, r.done("confirmation")
}

// leaseQuery is methodLeases' request: tell what is known of leases once Index is applied, if the term has come to Term.
type leaseQuery struct {
	Term  uint64
	Index uint64
}

func (q leaseQuery) encode() []byte {
	var w writer
	w.u64(q.Term)
	w.u64(q.Index)
	return w
}

func decodeLeaseQuery(b []byte) (leaseQuery, error) {
	r := reader{buf: b}
	q := leaseQuery{Term: r.u64(), Index: r.u64()}
	return q, r.done("lease query")
}

func writeBounds(w *writer, bounds []leaseBound) {
	w.u64(uint64(len(bounds)))
	for _, b := range bounds {
		w.i64(b.ID)
		w.u64(b.Grant)
		w.u64(uint64(b.Remaining))
	}
}

func readBounds(r *reader) []leaseBound {
	var list []leaseBound
	for range r.count(3) {
		list = append(list, leaseBound{ID: r.i64(), Grant: r.u64(), Remaining: time.Duration(min(r.u64(), math.MaxInt64/4))})
	}
	return list
}

func encodeBounds(bounds []leaseBound) []byte {
	var w writer
	writeBounds(&w, bounds)
	return w
}

func decodeBounds(b []byte) ([]leaseBound, error) {
	r := reader{buf: b}
	list := readBounds(&r)
	return list, r.done("lease times")
}
