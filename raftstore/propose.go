package raftstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"google.golang.org/protobuf/proto"

	"quorate/raftstore/v2keys"
)

// applied is what became of a proposal: what apply gave, and at which log index. From another node comes body instead of
// a message.
type applied struct {
	outcome
	index uint64
	body  []byte
}

// Proposals in flight, per node. Beyond that a client is told to come back, as by etcd.
const maxProposals = 5000

// stuckTransfer is how long Raft may refuse proposals because leadership is being transferred. A transfer takes one
// election timeout at most; the library can forget that it has ended (hashicorp/raft#696) and then refuses for ever.
func (s *Store) stuckTransfer() time.Duration { return 10 * s.opts.ElectionTimeout }

// applyLocal proposes a command to this node's Raft and waits until it is applied here.
//
// Of its errors, errNotLeaderRetry and ErrTooManyRequests mean that nothing was done. Any other error leaves it open.
func (s *Store) applyLocal(ctx context.Context, n *node, cmd []byte) (applied, error) {
	cmd, err := s.stampV2(cmd)
	if err != nil {
		return applied{}, err
	}
	return s.applyRaw(ctx, n, cmd)
}

// applyRaw is applyLocal for a command that is complete.
func (s *Store) applyRaw(ctx context.Context, n *node, cmd []byte) (applied, error) {
	defer s.flow.leave()
	if !s.flow.enter() {
		return applied{}, etcderrors.ErrTooManyRequests
	}
	f := n.raft.Apply(cmd, s.opts.ElectionTimeout)
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		if err != nil {
			return applied{}, s.proposalError(err)
		}
		s.flow.taken()
		out, ok := f.Response().(outcome)
		if !ok {
			return applied{}, etcderrors.ErrStopped // the state machine ended under it
		}
		return applied{outcome: out, index: f.Index()}, nil
	case <-ctx.Done():
		return applied{}, ctx.Err()
	case <-s.ctx.Done():
		return applied{}, etcderrors.ErrStopped
	}
}

// proposalError turns Raft's error into ours.
func (s *Store) proposalError(err error) error {
	if errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		if s.flow.refusedFor(s.mono()) > s.stuckTransfer() {
			s.fail(fmt.Errorf("%w: a transfer of leadership never ended", ErrReopen))
		}
		return errNotLeaderRetry
	}
	s.flow.taken()
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return errNotLeaderRetry
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return etcderrors.ErrTooManyRequests
	case errors.Is(err, raft.ErrRaftShutdown):
		return etcderrors.ErrStopped
	}
	// ErrLeadershipLost, ErrAbortedByRestore, an error of the log's disk: the entry may be in some log and be committed yet.
	return etcderrors.ErrTimeoutDueToLeaderFail
}

// submit gets a command committed, through whichever node leads, and returns once it is applied on this node too: what a
// client wrote through this node it can read here, serializably even.
func (s *Store) submit(ctx context.Context, cmd []byte) (_ applied, err error) {
	defer func() {
		if err != nil {
			s.metrics.proposalsFailed.Inc()
		}
	}()
	return retryLeader(s, ctx, func(ctx context.Context, n *node) (applied, error) {
		if n.isLeader() {
			return s.applyLocal(ctx, n, cmd)
		}
		return s.forward(ctx, cmd)
	})
}

// leaderTries and leaderPause bound how long a request looks for the leader while Raft changes it. It is short: a node
// without a leader says so at once, and the client asks another one.
const (
	leaderTries = 4
	leaderPause = 10 * time.Millisecond
)

// retryLeader runs f, again while it fails with an error that says that nothing was done and leadership just moved, and
// turns what fails for good into the errors that clients are shown.
func retryLeader[T any](s *Store, ctx context.Context, f func(context.Context, *node) (T, error)) (T, error) {
	own, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout+2*s.opts.ElectionTimeout)
	defer cancel()
	var zero T
	for try := 1; ; try++ {
		n, err := s.serving()
		if err != nil {
			return zero, err
		}
		v, err := f(own, n)
		if err == nil {
			return v, nil
		}
		if !nothingDone(err) || try == leaderTries {
			return zero, s.clientError(ctx, err)
		}
		select {
		case <-time.After(leaderPause):
		case <-own.Done():
			return zero, s.clientError(ctx, err)
		}
	}
}

// nothingDone says that a request was certainly not executed and may be sent elsewhere.
func nothingDone(err error) bool {
	return errors.Is(err, errNotLeaderRetry) || errors.Is(err, errNotSent) || errors.Is(err, errNotMember)
}

// clientError is the error that a client sees: trouble with the leadership is always one of those that gRPC calls
// Unavailable, never an unknown one.
func (s *Store) clientError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case nothingDone(err):
		return etcderrors.ErrNoLeader
	case errors.Is(err, errLeaderMoved):
		return etcderrors.ErrTimeoutDueToLeaderFail
	case errors.Is(err, errConnLost):
		return etcderrors.ErrTimeoutDueToConnectionLost
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if s.ctx.Err() != nil {
			return etcderrors.ErrStopped
		}
		return etcderrors.ErrTimeout
	}
	var remote *remoteError
	if errors.As(err, &remote) {
		return remote.err
	}
	return err
}

// askLeader sends a request to the node that this one takes for the leader, for as long as it does.
func (s *Store) askLeader(ctx context.Context, m method, body []byte) ([]byte, error) {
	r, err := s.askLeaderFor(ctx, make(chan rpcReply, 1), m, body)
	return r.body, err
}

// askLeaderFor is askLeader for one who may learn the reply from elsewhere, by the same channel.
func (s *Store) askLeaderFor(ctx context.Context, reply chan rpcReply, m method, body []byte) (rpcReply, error) {
	id, addr, changed := s.leader.get()
	if id == 0 || id == s.identity().ID {
		return rpcReply{}, errNotLeaderRetry
	}
	return s.conns.callWhile(ctx, changed, peerKey{id: id, addr: addr}, reply, m, body)
}

// errLeaderMoved says that the leader changed while its answer was awaited: nothing is known of whether it acted.
var errLeaderMoved = errors.New("raftstore: the leader changed while it was asked")

// serving returns Raft, or the error for a store that cannot serve requests yet or any more.
func (s *Store) serving() (*node, error) {
	n := s.node.Load()
	switch {
	case s.ctx.Err() != nil:
		return nil, etcderrors.ErrStopped
	case n == nil || !s.caughtUp.Load():
		return nil, etcderrors.ErrNoLeader
	case s.disk.stalled():
		return nil, etcderrors.ErrUnhealthy // what is committed elsewhere does not come through here
	}
	return n, nil
}

// encodeApplied is methodPropose's reply. Errors of apply are results here: the command was committed.
func encodeApplied(a applied) ([]byte, error) {
	var w writer
	w.u64(a.index)
	if a.err != nil {
		w.str(wireText(a.err))
		w.bytes(nil)
		return w, nil
	}
	w.str("")
	var body []byte
	var err error
	switch {
	case a.v2 != nil:
		body, err = v2keys.EncodeResult(*a.v2)
	case a.v2users != nil:
		body, err = json.Marshal(a.v2users)
	case a.msg != nil:
		body, err = proto.Marshal(a.msg)
	}
	if err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	w.bytes(body)
	return w, nil
}

func decodeApplied(b []byte) (applied, error) {
	r := reader{buf: b}
	a := applied{index: r.u64(), outcome: outcome{err: fromWire(r.str())}, body: r.bytes()}
	return a, r.done("response")
}

// request gets one request of etcd's API executed by way of the log.
func request[R proto.Message](s *Store, ctx context.Context, r *pb.InternalRaftRequest, empty R) (R, error) {
	var none R
	if err := wellFormed(r); err != nil {
		return none, err
	}
	if err := s.space(r); err != nil {
		return none, err
	}
	who, err := s.authInfo(ctx, r)
	if err != nil {
		return none, err
	}
	r.Header = who
	cmd, err := encodeEtcd(r)
	if err != nil {
		return none, err
	}
	if len(cmd) > MaxRequestBytes+64<<10 {
		return none, etcderrors.ErrRequestTooLarge
	}
	res, err := s.submit(ctx, cmd)
	if err == nil {
		err = res.err
	}
	if err != nil {
		return none, err
	}
	return unpack(res, empty)
}

func unpack[R proto.Message](res applied, empty R) (R, error) {
	var none R
	if res.msg != nil {
		if m, ok := res.msg.(R); ok {
			return m, nil
		}
		return none, fmt.Errorf("response of type %T", res.msg)
	}
	if err := proto.Unmarshal(res.body, empty); err != nil {
		return none, fmt.Errorf("decode response: %w", err)
	}
	return empty, nil
}
