package raftstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Raft's settings that Options do not change.
const (
	// commitTimeout is the library's own pace of telling followers what is committed; announcer is quicker, so this is
	// only the fallback.
	commitTimeout = 250 * time.Millisecond
	// maxAppendEntries bounds what one write of the log, and one message to a follower, carries: with many clients the disk's syncs are what a
	// proposal waits for. maxAppendBytes bounds the message too, as etcd's does.
	maxAppendEntries = 512
	maxAppendBytes   = 1 << 20
	retainSnapshots  = 2
	// snapshotEntries is after how many entries a snapshot is taken, snapshotInterval how often that is looked at.
	// Housekeeping takes one earlier when the entries are large.
	snapshotEntries  = 8192
	snapshotInterval = 30 * time.Second
	snapshotDir      = "snapshots"
	peerConnPool     = 3
)

// node is Raft and what belongs to its run.
type node struct {
	raft  *raft.Raft
	trans *transport
	ann   *announcer
	snaps *raft.FileSnapshotStore
	self  raft.ServerID
	// shutdown ends Raft, once; whoever asks gets the same future.
	shutdown func() raft.Future
	// started says that raft is set: Raft's goroutines run, and call back, before NewRaft returns.
	started atomic.Bool

	proposed chan proposed
	notify   chan bool
	observer *raft.Observer
	observed chan raft.Observation
	wg       sync.WaitGroup
	stopped  chan struct{}
}

func (s *Store) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = serverID(s.identity().ID)
	c.HeartbeatTimeout = s.opts.ElectionTimeout
	c.ElectionTimeout = s.opts.ElectionTimeout
	// The longest that the library takes: it decides when a leader resigns, and nothing else here, since reads and renewals ask a quorum themselves. Half of it cost
	// three times as many elections where the CPU is short (docs/adr).
	c.LeaderLeaseTimeout = s.opts.ElectionTimeout
	c.CommitTimeout = commitTimeout
	if d := s.opts.hooks.commitTimeout; d > 0 {
		c.CommitTimeout = d
	}
	c.MaxAppendEntries = maxAppendEntries
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.TrailingLogs = snapshotEntries
	c.SnapshotThreshold = s.opts.SnapshotEntries
	c.SnapshotInterval = snapshotInterval
	c.NoLegacyTelemetry = true
	c.Logger = &hcLogger{log: s.log.With("part", "raft"), said: &repeats{}}
	return c
}

// startRaft starts Raft. With a founder set it first writes that set as the cluster's first configuration, the same on
// every founder; without one the log has it, or the leader will send it.
func (s *Store) startRaft(founders *FounderSet) error {
	cfg := s.raftConfig()
	snaps, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(s.opts.Dir, snapshotDir), retainSnapshots, cfg.Logger)
	if err != nil {
		return fmt.Errorf("open the snapshots: %w", err)
	}
	if err := s.dropConflicts(snaps); err != nil {
		return err
	}
	n := &node{
		snaps: snaps, self: cfg.LocalID, proposed: make(chan proposed, maxProposals), notify: make(chan bool, 16), observed: make(chan raft.Observation, 64),
		stopped: make(chan struct{}),
	}
	cfg.NotifyCh = n.notify
	id := s.identity()
	self := raft.Server{ID: cfg.LocalID, Address: raftAddr(id.ID, id.PeerAddr)}
	n.trans = s.newRaftTransport(n, self, cfg)
	s.logs.overlap, s.logs.follows = n.overlap, n.follows
	if founders != nil {
		if err := bootstrap(cfg, s.logs, s.logs, snaps, n.trans, founders); err != nil {
			return errors.Join(err, n.trans.Close())
		}
	}
	f := &fsm{state: s.state, forwards: s.forwards, fail: s.fail, committed: func(index, term uint64) {
		n.ann.committed(committed{index: index, term: term})
	}}
	if n.raft, err = s.newRaft(cfg, f, snaps, n.trans); err != nil {
		return errors.Join(fmt.Errorf("start raft: %w", err), n.trans.Close())
	}
	n.shutdown = sync.OnceValue(n.raft.Shutdown)
	n.started.Store(true)
	s.runNode(n)
	if id.Started && len(n.voters()) > 1 {
		s.wg.Go(func() { s.electEarly(n) })
	}
	if !id.Started {
		return s.setIdentity(func(id *identity) { id.Started = true })
	}
	return nil
}

func bootstrap(cfg *raft.Config, logs raft.LogStore, stable raft.StableStore, snaps raft.SnapshotStore,
	trans raft.Transport, founders *FounderSet) error {
	var c raft.Configuration
	for _, m := range founders.Members {
		c.Servers = append(c.Servers, raft.Server{
			Suffrage: raft.Voter, ID: serverID(m.ID), Address: raftAddr(m.ID, m.PeerAddr),
		})
	}
	err := raft.BootstrapCluster(cfg, logs, stable, snaps, trans, c)
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil // done before, and interrupted after
	}
	return err
}

func (s *Store) newRaftTransport(n *node, self raft.Server, cfg *raft.Config) *transport {
	net := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Logger:          cfg.Logger,
		Stream:          &stream{port: s.port, dialer: s.dialer, greet: s.greeting, addr: self.Address},
		MaxPool:         peerConnPool,
		MaxRPCsInFlight: 1,
		Timeout:         dialTimeout(s.opts.ElectionTimeout),
	})
	t := newTransport(net)
	n.ann = &announcer{trans: t, self: self, busy: map[raft.ServerID]bool{}, term: s.lead.led, targets: n.others}
	t.acked = n.ann.acked
	t.saved = s.logs.saved
	t.stalled = s.disk.stalled
	t.leads = n.leads
	t.listed = n.addressed
	t.beat, t.period = s.leaseBeat, s.opts.ElectionTimeout/beatsPerElection
	return t
}

// runNode starts what watches Raft.
func (s *Store) runNode(n *node) {
	n.observer = raft.NewObserver(n.observed, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(n.observer)
	s.node.Store(n)
	go s.watchProposed(n)
	n.wg.Go(func() { s.watchLeader(n) })
	n.wg.Go(func() { s.watchOwnLeadership(n) })
	s.wg.Go(func() { s.catchUp(n) })
}

// stop ends Raft and its watchers. bounded bounds the wait for Raft.
func (n *node) stop(bounded func(what string, f func() error) error) error {
	n.raft.DeregisterObserver(n.observer)
	err := bounded("stop raft", n.shutdown().Error)
	err = errors.Join(err, n.trans.Close())
	close(n.stopped)
	n.wg.Wait()
	n.ann.wait()
	return err
}

func (n *node) isLeader() bool { return n.raft.State() == raft.Leader }

// leads says whether this node leads in the given term, as far as it knows.
func (n *node) leads(term uint64) bool {
	return n.started.Load() && n.raft.CurrentTerm() == term && n.raft.State() == raft.Leader
}

// follows is logStore's: entries come from another member.
func (n *node) follows() bool { return n.started.Load() && n.raft.State() == raft.Follower }

// overlap is logStore's: this node leads, and nothing is committed without another voter. Raft's own goroutine asks, so neither
// changes before it has stored the entries.
func (n *node) overlap() bool {
	return n.started.Load() && n.raft.State() == raft.Leader && len(n.voters()) > 1
}

func (n *node) servers() []raft.Server {
	if !n.started.Load() {
		return nil
	}
	f := n.raft.GetConfiguration() // does not wait: it is Raft's published copy
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

// others are the servers but this one.
func (n *node) others() []raft.Server {
	var list []raft.Server
	for _, s := range n.servers() {
		if s.ID != n.self {
			list = append(list, s)
		}
	}
	return list
}

func (n *node) voters() []raft.Server {
	var list []raft.Server
	for _, s := range n.servers() {
		if s.Suffrage == raft.Voter {
			list = append(list, s)
		}
	}
	return list
}

func (n *node) server(id uint64) (raft.Server, bool) { return n.find(serverID(id)) }

func (n *node) find(id raft.ServerID) (raft.Server, bool) {
	for _, s := range n.servers() {
		if s.ID == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// addressed says whether the configuration has the server at that address.
func (n *node) addressed(s raft.Server) bool {
	srv, ok := n.find(s.ID)
	return ok && srv.Address == s.Address
}

func (n *node) listed(id raft.ServerID) bool {
	_, ok := n.find(id)
	return ok
}
