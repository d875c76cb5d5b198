package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/hashicorp/raft"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// A write that came to a follower goes to the leader with a tag, which the log entry keeps (raft.Log.Extensions). The member that the client
// asked answers from its own copy of the entry, as etcd's members do: it has to wait until it has applied the entry anyway, what it
// computes then is what the leader computes, and the leader is spared a goroutine and an answer for each write. The leader tells failures only.
//
// A tag is drawn anew by each process, so an entry of an earlier one, met again in the log, is nobody's.

// tagSize is the size of a tag: the process, and the proposal's number there.
const tagSize = 8 + 8

// forwards are the proposals of this process that other members were given.
type forwards struct {
	process uint64

	mu      sync.Mutex // guards what follows
	last    uint64
	waiting map[uint64]chan rpcReply
}

func newForwards() *forwards {
	return &forwards{process: rand.Uint64(), waiting: map[uint64]chan rpcReply{}}
}

// add makes room for the outcome of one more proposal. The channel takes what the leader says and what was applied.
func (f *forwards) add() (number uint64, outcome chan rpcReply) {
	outcome = make(chan rpcReply, 2)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.waiting[f.last] = outcome
	return f.last, outcome
}

func (f *forwards) remove(number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, number)
}

// tagged puts a proposal's tag before its command.
func (f *forwards) tagged(number uint64, cmd []byte) []byte {
	b := make([]byte, tagSize, tagSize+len(cmd))
	binary.BigEndian.PutUint64(b, f.process)
	binary.BigEndian.PutUint64(b[8:], number)
	return append(b, cmd...)
}

// applied hands out what has become of entries, those of this process.
func (f *forwards) applied(logs []*raft.Log, out []any) {
	locked := false
	for i, l := range logs {
		if len(l.Extensions) != tagSize || binary.BigEndian.Uint64(l.Extensions) != f.process {
			continue
		}
		if !locked {
			locked = true
			f.mu.Lock()
			defer f.mu.Unlock()
		}
		number := binary.BigEndian.Uint64(l.Extensions[8:])
		if ch := f.waiting[number]; ch != nil {
			delete(f.waiting, number)
			ch <- rpcReply{applied: &applied{outcome: out[i].(outcome), index: l.Index}}
		}
	}
}

// skipped ends the wait for entries that a snapshot may have taken the place of: they will not be applied one by one.
func (f *forwards) skipped() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for number, ch := range f.waiting {
		delete(f.waiting, number)
		ch <- rpcReply{err: etcderrors.ErrTimeout}
	}
}

// forward has the leader propose a command, and returns once it is applied here.
func (s *Store) forward(ctx context.Context, cmd []byte) (applied, error) {
	number, outcome := s.forwards.add()
	defer s.forwards.remove(number)
	r, err := s.askLeaderFor(ctx, outcome, methodForward, s.forwards.tagged(number, cmd))
	switch {
	case err != nil && unknownMethod(err, methodForward):
		return s.forwardWhole(ctx, cmd)
	case err != nil:
		return applied{}, err
	case r.applied == nil:
		return applied{}, fmt.Errorf("%w: the leader answered what it does not answer", errConnLost)
	}
	return *r.applied, nil
}

// forwardWhole is forward to a leader of an earlier version, which sends the outcome.
func (s *Store) forwardWhole(ctx context.Context, cmd []byte) (applied, error) {
	b, err := s.askLeader(ctx, methodPropose, cmd)
	if err != nil {
		return applied{}, err
	}
	res, err := decodeApplied(b)
	if err != nil {
		return applied{}, err
	}
	return res, s.state.progress.wait(ctx, res.index) // on an error it is committed, and yet the client must hear that it does not know
}

// handleForward proposes a command that another member forwarded with a tag. It may wait for Raft to take the command, but not longer; failed is called later, or not
// at all.
func (s *Store) handleForward(from greeting, body []byte, failed func(error)) {
	if err := s.proposeTagged(from, body, failed); err != nil {
		failed(err)
	}
}

func (s *Store) proposeTagged(from greeting, body []byte, failed func(error)) error {
	n, err := s.memberNode(from)
	switch {
	case err != nil:
		return err
	case s.opts.hooks.noForward:
		return errUnknownMethod(methodForward)
	case !n.isLeader():
		return errNotLeaderRetry
	case len(body) < tagSize:
		return errShort
	}
	cmd := body[tagSize:]
	if err := s.roomFor(cmd); err != nil {
		return err
	}
	if cmd, err = s.stampV2(cmd); err != nil {
		return err
	}
	if !s.flow.enter() {
		s.flow.leave()
		return etcderrors.ErrTooManyRequests
	}
	f := n.raft.ApplyLog(raft.Log{Data: cmd, Extensions: body[:tagSize:tagSize]}, s.opts.ElectionTimeout)
	n.proposed <- proposed{future: f, failed: failed} // there is room: flow counts it
	return nil
}

// proposed is a proposal that nobody here waits for.
type proposed struct {
	future raft.ApplyFuture
	failed func(error)
}

// watchProposed tells of proposals that fail, in the order in which they were made: one goroutine for all of them. It ends some time
// after the node has stopped, for Raft leaves proposals unanswered when it does.
func (s *Store) watchProposed(n *node) {
	for {
		select {
		case p := <-n.proposed:
			err := p.future.Error()
			s.flow.leave()
			if err == nil {
				s.flow.taken()
				continue
			}
			err = s.proposalError(err)
			go p.failed(err) // the others must not wait for a connection
		case <-n.stopped:
			return
		}
	}
}

// errUnknownMethod is the answer to a method that this version does not have.
func errUnknownMethod(m method) error { return fmt.Errorf("unknown method %d", m) }

// unknownMethod says that a peer does not have the method.
func unknownMethod(err error, m method) bool {
	var remote *remoteError
	return errors.As(err, &remote) && remote.err.Error() == errUnknownMethod(m).Error()
}
