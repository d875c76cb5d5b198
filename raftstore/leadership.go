package raftstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// leadership is what this node knows of its own leading.
type leadership struct {
	// newest is the newest term of which this node committed the start. Nobody else ever leads that term.
	newest atomic.Uint64

	mu sync.Mutex // guards what follows
	// ready is the term in which this node may answer reads and keep-alives: it has applied its own start of term and
	// knows the leases' times. 0 while there is none.
	ready   uint64
	since   time.Time     // when ready was last set
	changed chan struct{} // closed and replaced when ready changes
}

// readySince is when this node last became ready to lead, or ceased to be.
func (l *leadership) readySince() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// led is the newest term that this node led, 0 for none.
func (l *leadership) led() uint64 { return l.newest.Load() }

// started returns what the state machine calls when it applies a start of term. Only a leader appends such an entry, and
// in its own term: the entry's term is the proof.
func (l *leadership) started(self uint64) func(termStart, uint64) {
	return func(t termStart, entryTerm uint64) {
		if t.Leader == self && entryTerm > l.newest.Load() {
			l.newest.Store(entryTerm)
		}
	}
}

func (l *leadership) set(term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready, l.since = term, time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *leadership) get() (term uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready, l.changed
}

// leaderWatch tells of changes of the leader.
type leaderWatch struct {
	mu      sync.Mutex // guards what follows
	id      uint64
	addr    string
	changed chan struct{}
}

func (w *leaderWatch) set(id uint64, addr string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.id == id && w.addr == addr {
		return false
	}
	w.id, w.addr = id, addr
	close(w.changed)
	w.changed = make(chan struct{})
	return true
}

func (w *leaderWatch) get() (id uint64, addr string, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.id, w.addr, w.changed
}

// watchLeader follows whom Raft takes for the leader.
func (s *Store) watchLeader(n *node) {
	// An observation may be dropped when many come at once, so look now and then as well.
	tick := time.NewTicker(2 * s.opts.ElectionTimeout)
	defer tick.Stop()
	for {
		addr, id := n.raft.LeaderWithID()
		if s.leader.set(memberID(id), hostPort(addr)) {
			s.metrics.leaderChanged(id != "")
			s.tellLeader(id, addr, n.raft.CurrentTerm())
		}
		select {
		case <-n.observed:
		case <-tick.C:
		case <-n.stopped:
			s.leader.set(0, "")
			return
		}
	}
}

func (s *Store) tellLeader(id raft.ServerID, addr raft.ServerAddress, term uint64) {
	if id == "" {
		s.log.Info("the store has no leader", "term", term)
		return
	}
	s.log.Info("the store has a leader", "id", string(id), "address", hostPort(addr), "term", term)
}

// watchOwnLeadership does what a new leader has to do, and undoes it when the leadership ends.
func (s *Store) watchOwnLeadership(n *node) {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case lead := <-n.notify:
			stop()
			wg.Wait()
			s.demote()
			if lead {
				ctx, cancel := context.WithCancel(s.ctx)
				stop = cancel
				wg.Go(func() { s.takeLead(ctx, n) })
			}
		case <-n.stopped:
			s.demote()
			return
		}
	}
}

func (s *Store) demote() {
	s.lead.set(0)
	s.state.lessor.withTimes(func(t *leaseTimes, _ time.Duration) { t.demote() })
}

// takeLead makes this node ready to lead, retrying until it is or the leadership is over.
func (s *Store) takeLead(ctx context.Context, n *node) {
	for ctx.Err() == nil && n.isLeader() {
		term, err := s.startTerm(ctx, n)
		if err == nil {
			s.lead.set(term)
			s.log.Info("this node leads the store", "term", term)
			return
		}
		level := slog.LevelWarn
		if nothingDone(err) {
			level = slog.LevelDebug // leadership is already on its way to another member
		}
		s.log.Log(ctx, level, "taking the lead failed", "error", err)
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s *Store) startTerm(ctx context.Context, n *node) (uint64, error) {
	term := n.raft.CurrentTerm()
	self := s.identity().ID
	res, err := s.applyLocal(ctx, n, termStart{Term: term, Leader: self}.encode())
	if err != nil {
		return 0, fmt.Errorf("start the term: %w", err)
	}
	if s.lead.led() != term {
		return 0, fmt.Errorf("start the term: %w", etcderrors.ErrLeaderChanged)
	}
	if id := s.identity(); s.state.clusterID() != id.ClusterID {
		f := founding{ClusterID: id.ClusterID, Replaces: s.state.clusterID()}
		if id.Founders != nil && f.Replaces == 0 {
			f.Members = id.Founders.Members
		}
		if _, err := s.applyLocal(ctx, n, f.encode()); err != nil {
			return 0, fmt.Errorf("name the cluster: %w", err)
		}
	}
	full := s.collectLeases(ctx, n, term, res.index) != nil
	floor := s.opts.ElectionTimeout
	s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { t.promote(now, full, floor) })
	select {
	case s.promoted <- struct{}{}: // the loop has to wait for other deadlines now
	default:
	}
	if !n.leads(term) {
		return 0, etcderrors.ErrLeaderChanged
	}
	return term, nil
}

// collectLeases asks the voters what they know of the leases' times, until a quorum, this node included, has told. On an
// error the leases start afresh.
func (s *Store) collectLeases(ctx context.Context, n *node, term, index uint64) error {
	if len(s.state.lessor.Leases()) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.ElectionTimeout)
	defer cancel()
	ask := leaseQuery{Term: term, Index: index}.encode()
	return s.askQuorum(ctx, n, func(ctx context.Context, srv raft.Server) error {
		for {
			b, err := s.conns.call(ctx, memberID(srv.ID), hostPort(srv.Address), methodLeases, ask)
			if err == nil {
				return s.learnLeases(b)
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return err
			}
		}
	})
}

func (s *Store) learnLeases(b []byte) error {
	bounds, err := decodeBounds(b)
	if err != nil {
		return err
	}
	s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { t.observe(now, bounds) })
	return nil
}

// askQuorum runs ask for every other voter at once and returns nil as soon as those that succeeded are, with this node, a
// quorum of the voters; else an error when that has become impossible or ctx ends.
func (s *Store) askQuorum(ctx context.Context, n *node, ask func(context.Context, raft.Server) error) error {
	voters := n.voters()
	need := len(voters)/2 + 1
	answers := make(chan error, len(voters))
	asked := 0
	for _, v := range voters {
		if v.ID == n.self {
			need--
			continue
		}
		asked++
		go func() { answers <- ask(ctx, v) }()
	}
	var last error
	for left := asked; need > 0; left-- {
		if left < need {
			return fmt.Errorf("no quorum answered: %w", orNoLeader(last))
		}
		select {
		case err := <-answers:
			if err == nil {
				need--
				continue
			}
			last = err
		case <-ctx.Done():
			return fmt.Errorf("no quorum answered: %w", ctx.Err())
		}
	}
	return nil
}

func orNoLeader(err error) error {
	if err == nil {
		return etcderrors.ErrNoLeader
	}
	return err
}

// waitReady waits until this node is ready to lead. It fails at once when it does not lead at all.
func (s *Store) waitReady(ctx context.Context, n *node) (term uint64, err error) {
	for {
		term, changed := s.lead.get()
		switch {
		case !n.isLeader():
			return 0, errNotLeaderRetry
		case term != 0 && n.leads(term):
			return term, nil
		}
		select {
		case <-changed:
		case <-time.After(s.opts.ElectionTimeout / 4): // the leadership may end without ever having been ready
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Leader returns the leader's member id, 0 when none is known.
func (s *Store) Leader() uint64 {
	id, _, _ := s.leader.get()
	return id
}

// LeaderChanged returns a channel that is closed when Leader next changes.
func (s *Store) LeaderChanged() <-chan struct{} {
	_, _, changed := s.leader.get()
	return changed
}

// IsLeader says whether this node leads and is ready to: it may have been deposed without having noticed yet.
func (s *Store) IsLeader() bool {
	n := s.node.Load()
	if n == nil {
		return false
	}
	term, _ := s.lead.get()
	return term != 0 && n.leads(term)
}

// Term is this node's current Raft term; 0 before it belongs to a cluster.
func (s *Store) Term() uint64 {
	if n := s.node.Load(); n != nil {
		return n.raft.CurrentTerm()
	}
	return 0
}

// ID is this member's id.
func (s *Store) ID() uint64 { return s.identity().ID }

// ClusterID is the cluster's id; 0 before this host belongs to one.
func (s *Store) ClusterID() uint64 { return s.identity().ClusterID }

// ElectionTimeout is Raft's election timeout.
func (s *Store) ElectionTimeout() time.Duration { return s.opts.ElectionTimeout }

// LongestElectionTimeout is the longest election timeout that any member has published. Leases shorter than several of it
// do not survive a change of leader.
func (s *Store) LongestElectionTimeout() time.Duration {
	longest := s.opts.ElectionTimeout
	for _, m := range s.state.memberList() {
		longest = max(longest, m.Election)
	}
	return longest
}

// PeerAddr is the address of the peer port that the others dial.
func (s *Store) PeerAddr() string { return s.identity().PeerAddr }
