package raftstore

import (
	"context"
	"time"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// handle answers a peer's call.
func (s *Store) handle(ctx context.Context, m method, from greeting, body []byte) ([]byte, error) {
	if m.memberOnly() {
		return s.handleMember(ctx, m, from, body)
	}
	switch m {
	case methodHello:
		return encodeJSON(s.hello()), nil
	case methodPromise, methodRelease, methodFound:
		return s.handleFounding(m, body)
	case methodJoin:
		return s.handleJoin(ctx, body)
	}
	return nil, errUnknownMethod(m)
}

func (s *Store) handleMember(ctx context.Context, m method, from greeting, body []byte) ([]byte, error) {
	n, err := s.memberNode(from)
	if err != nil {
		return nil, err
	}
	switch m {
	case methodPropose:
		return s.handlePropose(ctx, n, body)
	case methodReadIndex:
		return indexReply(s.leaderIndex(ctx, n))
	case methodConfirm:
		return s.handleConfirm(n, body)
	case methodLeases:
		return s.handleLeases(ctx, n, body)
	case methodRenew:
		r := reader{buf: body}
		ttl, err := s.renewLocal(ctx, n, r.i64())
		var w writer
		w.i64(ttl)
		return w, err
	case methodTTL:
		return s.handleTTL(ctx, n, body)
	case methodHash:
		return s.handleHash(ctx, body)
	case methodMembers:
		return s.handleMembers(ctx, n, body)
	case methodListed:
		return s.handleListed(ctx, n, body)
	case methodStanding:
		return s.standing(n).encode(), nil
	}
	return nil, errUnknownMethod(m)
}

// memberNode is Raft for a caller that belongs to the cluster.
func (s *Store) memberNode(from greeting) (*node, error) {
	if id := s.ClusterID(); id == 0 || from.Cluster != id {
		return nil, errNotMember
	}
	n := s.node.Load()
	if n == nil {
		return nil, errNotLeaderRetry
	}
	return n, nil
}

func indexReply(index uint64, err error) ([]byte, error) {
	var w writer
	w.u64(index)
	return w, err
}

func (s *Store) handlePropose(ctx context.Context, n *node, cmd []byte) ([]byte, error) {
	if !n.isLeader() {
		return nil, errNotLeaderRetry
	}
	if err := s.roomFor(cmd); err != nil {
		return nil, err
	}
	res, err := s.applyLocal(ctx, n, cmd)
	if err != nil {
		return nil, err
	}
	return encodeApplied(res)
}

// handleConfirm takes note of renewals and answers with this node's term, in this order: whoever asks for the leases' times
// in a newer term gets its answer either before the note, and then the term that is answered here is newer too, or after.
func (s *Store) handleConfirm(n *node, body []byte) ([]byte, error) {
	m, err := decodeConfirm(body)
	if err != nil {
		return nil, err
	}
	s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { t.observe(now, m.Bounds) })
	return indexReply(n.raft.CurrentTerm(), nil)
}

// handleLeases tells a new leader what this node knows of the leases' times: once its term has come to the leader's, after
// which it confirms no earlier leader any more, and once it has applied the leases that the leader has.
func (s *Store) handleLeases(ctx context.Context, n *node, body []byte) ([]byte, error) {
	q, err := decodeLeaseQuery(body)
	if err != nil {
		return nil, err
	}
	switch term := n.raft.CurrentTerm(); {
	case term < q.Term:
		return nil, errTermAhead
	case term > q.Term:
		return nil, errStaleTerm
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.ElectionTimeout)
	defer cancel()
	if err := s.state.progress.wait(ctx, q.Index); err != nil {
		return nil, etcderrors.ErrTimeoutWaitAppliedIndex
	}
	var bounds []leaseBound
	s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { bounds = t.report(now) })
	return encodeBounds(bounds), nil
}

func (s *Store) handleTTL(ctx context.Context, n *node, body []byte) ([]byte, error) {
	r := reader{buf: body}
	left, err := s.leftLocal(ctx, n, r.i64())
	var w writer
	w.u64(s.state.progress.current())
	w.i64(int64(left))
	return w, err
}
