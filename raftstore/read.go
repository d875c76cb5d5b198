package raftstore

import (
	"context"
	"errors"
	"sync"
	"time"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// readIndex returns a log index: whoever has applied it sees everything that was acknowledged before the call (Raft
// thesis, 6.4). It is what the leader knows to be committed, not what it has applied: a follower may be ahead of it there, and who has read or
// watched something on that one must find it on every other.
func (s *Store) readIndex(ctx context.Context, n *node) (uint64, error) {
	if n.isLeader() {
		return s.leaderIndex(ctx, n)
	}
	return s.asked.get(ctx, s.askIndex)
}

// askIndex asks the leader, for all reads that wait on this node.
func (s *Store) askIndex() (uint64, error) {
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout(s.opts.ElectionTimeout))
	defer cancel()
	b, err := s.askLeader(ctx, methodReadIndex, nil)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errNotSent // a read may be asked again by each who has time left
	}
	if err != nil {
		return 0, err
	}
	r := reader{buf: b}
	index := r.u64()
	return index, r.done("read index")
}

// indexBatches lets reads share a question to the leader: those that come while one is under way wait for the next, which is sent
// after they came.
type indexBatches struct {
	mu     sync.Mutex  // guards what follows
	next   *indexBatch // nil while nobody waits for the next
	asking bool
}

// indexBatch is one question, and its answer once done is closed.
type indexBatch struct {
	done  chan struct{}
	index uint64
	err   error
}

// get is the answer to a question that ask puts after the call of get.
func (b *indexBatches) get(ctx context.Context, ask func() (uint64, error)) (uint64, error) {
	b.mu.Lock()
	if b.next == nil {
		b.next = &indexBatch{done: make(chan struct{})}
	}
	mine := b.next
	if !b.asking {
		b.asking = true
		go b.run(ask)
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.index, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// run asks until nobody waits.
func (b *indexBatches) run(ask func() (uint64, error)) {
	for {
		b.mu.Lock()
		batch := b.next
		b.next = nil
		if batch == nil {
			b.asking = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		batch.index, batch.err = ask()
		close(batch.done)
	}
}

func (s *Store) leaderIndex(ctx context.Context, n *node) (uint64, error) {
	if _, err := s.waitReady(ctx, n); err != nil {
		return 0, err
	}
	index := n.raft.CommitIndex()
	return index, s.quorum.confirm(ctx)
}

// linearize returns once this node's state is at least as new as anything acknowledged before the call.
func (s *Store) linearize(ctx context.Context) error {
	_, err := retryLeader(s, ctx, func(ctx context.Context, n *node) (struct{}, error) {
		index, err := s.readIndex(ctx, n)
		if err != nil {
			return struct{}{}, readError(err)
		}
		return struct{}{}, s.state.progress.wait(ctx, index)
	})
	return err
}

// readError: a read changes nothing, so whatever happened on the way it may be asked again.
func readError(err error) error {
	if errors.Is(err, errConnLost) || errors.Is(err, errLeaderMoved) {
		return errNotSent
	}
	return err
}

// catchUp opens the gate for requests once this node's state is as new as the cluster's was at its start. Raft hands a
// restarted node its log only as it learns what is committed, so until then even a stale read could go back in time
// behind what this very node answered before it stopped.
func (s *Store) catchUp(n *node) {
	for s.ctx.Err() == nil {
		if s.tryCatchUp(n) == nil {
			s.metrics.observe(s, n)
			s.caughtUp.Store(true)
			s.log.Info("caught up", "index", s.state.progress.current())
			s.wg.Go(s.publish)
			return
		}
		select {
		case <-time.After(leaderPause):
		case <-s.ctx.Done():
		}
	}
}

func (s *Store) tryCatchUp(n *node) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	index, err := s.readIndex(ctx, n)
	if err != nil {
		return err
	}
	if err := s.state.progress.wait(ctx, index); err != nil {
		return err
	}
	if s.state.clusterID() != s.ClusterID() {
		return etcderrors.ErrNoLeader // the founding is not applied yet
	}
	return nil
}

// Ready returns nil when this node serves requests: it belongs to a cluster, has caught up, and has not failed.
func (s *Store) Ready() error {
	_, err := s.serving()
	return err
}

// Health returns nil when this node serves requests and knows a leader.
func (s *Store) Health() error {
	if err := s.Ready(); err != nil {
		return err
	}
	if s.Leader() == 0 {
		return etcderrors.ErrNoLeader
	}
	return nil
}
