package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// cacheDir holds the backend, within the store folder. It is cleared at each start.
const cacheDir = "cache"

// Store is one member of the consensus store. Make it with Open, end it with Close. When Failed delivers, the store can
// do no more: close it, and open it again or use another host's.
type Store struct {
	snapshotAfter time.Duration // housekeeping's: when a snapshot is tried again, by mono

	opts    Options
	log     *slog.Logger
	zap     *zap.Logger
	metrics *metrics
	start   time.Time

	port     *peerPort
	dialer   *dialer
	conns    *peerConns
	promises *promises
	state    *state
	logs     *logStore
	quorum   *confirmer
	forwards *forwards
	asked    indexBatches
	disk     *diskGuard

	idMu sync.Mutex // taken by who changes id
	id   atomic.Pointer[identity]

	// node is Raft; nil until this host belongs to a cluster.
	node atomic.Pointer[node]
	// caughtUp opens the gate for requests: see catchUp.
	caughtUp atomic.Bool
	raising  atomic.Bool // the alarm for want of space is being raised
	flow     flow
	lead     leadership
	leader   leaderWatch
	foundMu  sync.Mutex // one founding or joining step at a time
	nudge    chan struct{}

	promoted chan struct{}   // the lease times count from now on: see leaseLoop
	ctx      context.Context // ends when the store is told to close or has failed
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	failOnce sync.Once
	failed   chan error
	done     chan struct{}
	closing  sync.Once
	closeErr error
	ending   sync.WaitGroup // what shut did not wait for to the end
	gone     chan struct{}
}

// Open opens the store folder, makes it when it is not there, and starts the member. It does not wait for a leader nor for
// the founding. Errors: ErrForeignFolder, ErrDisk, and what listening or reading the folder fails with.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("raftstore: make the store folder: %w", err)
	}
	ln := o.Listener
	if ln == nil {
		if ln, err = net.Listen("tcp", o.Listen); err != nil {
			return nil, fmt.Errorf("raftstore: listen for peers on %s: %w", o.Listen, err)
		}
	}
	s := newStore(o, ln)
	if err := s.open(); err != nil {
		s.cancel()
		return nil, errors.Join(err, s.shut())
	}
	return s, nil
}

func newStore(o Options, ln net.Listener) *Store {
	ctx, cancel := context.WithCancel(background)
	s := &Store{
		opts: o, log: o.Logger.With("component", "raftstore"), start: time.Now(), metrics: newMetrics(o.Registerer),
		ctx: ctx, cancel: cancel, failed: make(chan error, 1), done: make(chan struct{}), gone: make(chan struct{}), nudge: make(chan struct{}, 1), promoted: make(chan struct{}, 1),
	}
	s.zap = newZap(s.log, func(msg string) { s.fail(fmt.Errorf("%w: %s", ErrDisk, msg)) })
	s.dialer = &dialer{dial: o.Dial, timeout: dialTimeout(o.ElectionTimeout)}
	s.port = newPeerPort(ln, s.log)
	if o.TLS != nil {
		s.port.tls, s.dialer.tls = o.TLS.Server, o.TLS.Client
	}
	s.conns = newPeerConns(s.dialer, s.greeting, dialTimeout(o.ElectionTimeout))
	s.quorum = newConfirmer(s)
	s.forwards = newForwards()
	s.leader.changed = make(chan struct{})
	s.lead.changed = make(chan struct{})
	return s
}

func (s *Store) open() (err error) {
	addr := s.opts.Advertise
	if addr == "" {
		addr = s.port.ln.Addr().String()
	}
	id, err := loadIdentity(s.opts, addr)
	if err != nil {
		return err
	}
	s.id.Store(&id)
	if s.promises, err = loadPromises(s.opts.Dir, id.ID); err != nil {
		return err
	}
	s.logs, err = openLogStore(s.opts.Dir, logOptions{
		log: s.log, fail: s.fail, before: s.opts.hooks.beforeWrite,
	})
	if err != nil {
		return err
	}
	s.logs.took = func(d time.Duration) { s.metrics.syncSeconds.Observe(d.Seconds()) }
	s.metrics.quota.Set(float64(max(0, s.opts.QuotaBytes)))
	s.metrics.tellID(id.ID)
	s.disk = newDiskGuard(s)
	s.logs.room = s.disk.room
	if s.state, err = newState(filepath.Join(s.opts.Dir, cacheDir), s.zap, s.mono, s.opts.Auth, s.opts.hooks); err != nil {
		return err
	}
	s.state.onTermStart = s.lead.started(id.ID)
	server := &rpcServer{handle: s.handle, forward: s.handleForward, timeout: dialTimeout(s.opts.ElectionTimeout)}
	s.port.start(s.admitGreeting, server.serve)
	if id.member() {
		if err := s.startRaft(id.Founders); err != nil {
			return err
		}
	} else {
		s.wg.Go(s.foundLoop)
	}
	s.wg.Go(s.quorum.run)
	s.wg.Go(s.leaseLoop)
	s.wg.Go(s.v2Loop)
	s.wg.Go(s.compareLoop)
	s.wg.Go(s.housekeeping)
	s.wg.Go(s.disk.run)
	return nil
}

// mono is the monotonic time since the store was opened.
func (s *Store) mono() time.Duration { return time.Since(s.start) }

// fail ends the store, not the process. The first reason counts.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.log.Error("the store has failed and stops", "error", err)
		s.failed <- err
		s.cancel()
		go s.stepAside()
	})
}

// stepAside gives up what a failed store must not keep: its place in Raft. Close, which the owner calls, does the rest.
func (s *Store) stepAside() {
	if n := s.node.Load(); n != nil {
		n.shutdown()
	}
}

// Failed delivers the reason when the store has failed for good. It delivers once.
func (s *Store) Failed() <-chan error { return s.failed }

// Done is closed when the store stops: no request succeeds from then on. Close may still be waiting for files.
func (s *Store) Done() <-chan struct{} { return s.done }

// shutTimeout bounds the wait for Raft and for each file: a goroutine that hangs in a write never comes back.
func (s *Store) shutTimeout() time.Duration { return 10 * s.opts.ElectionTimeout }

// Close stops the member, handing leadership over first when it has it. The folder can be opened again afterwards.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.handOver()
		s.cancel()
		close(s.done)
		s.closeErr = s.shut()
		go func() { s.ending.Wait(); close(s.gone) }()
	})
	return s.closeErr
}

// Gone is closed when, after Close, nothing of the store is left that might still write to its folder: a write that hangs outlives Close.
func (s *Store) Gone() <-chan struct{} { return s.gone }

// handOver passes the leadership on before a planned stop: an election would cost the others a second or two.
func (s *Store) handOver() {
	n := s.node.Load()
	if n == nil || s.ctx.Err() != nil || !n.isLeader() || len(n.voters()) < 2 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.raft.LeadershipTransfer().Error(); err != nil {
			s.log.Info("leadership was not handed over", "error", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(2 * s.opts.ElectionTimeout):
	}
}

func (s *Store) shut() (err error) {
	var list []error
	if s.logs != nil {
		close(s.logs.closing) // before Raft, which may be waiting to save a term
	}
	n := s.node.Load()
	if n != nil {
		list = append(list, n.stop(s.bounded))
	}
	s.conns.close()
	list = append(list, s.port.close())
	list = append(list, s.bounded("end the chores", func() error { s.wg.Wait(); return nil }))
	if late := s.node.Load(); late != n { // founded or joined meanwhile
		list = append(list, late.stop(s.bounded))
	}
	if s.logs != nil {
		list = append(list, s.bounded("close the log", s.logs.close))
	}
	if s.state != nil {
		list = append(list, s.bounded("close the backend", s.state.close))
	}
	s.metrics.unregister()
	return errors.Join(list...)
}

// bounded runs a part of shut.
func (s *Store) bounded(what string, f func() error) error {
	s.ending.Add(1)
	return bounded(s.shutTimeout(), what, func() error {
		defer s.ending.Done()
		return f()
	})
}

// bounded runs f and stops waiting for it after d.
func bounded(d time.Duration, what string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New(what + ": ended early")
		defer func() { done <- err }()
		err = f()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		return fmt.Errorf("%s: still busy after %s", what, d)
	}
}

func (s *Store) identity() identity {
	if id := s.id.Load(); id != nil {
		return *id
	}
	return identity{}
}

// setIdentity writes a changed identity.
func (s *Store) setIdentity(change func(*identity)) error {
	s.idMu.Lock()
	defer s.idMu.Unlock()
	next := s.identity()
	change(&next)
	if err := next.save(s.opts.Dir); err != nil {
		return fmt.Errorf("write the identity: %w", err)
	}
	s.id.Store(&next)
	return nil
}

// self is this member's record as it would publish it.
func (s *Store) self() Member {
	id := s.identity()
	return Member{
		ID: id.ID, Name: s.opts.Name, PeerAddr: id.PeerAddr, ClientURLs: s.opts.ClientURLs, WantVote: true,
		Election: s.opts.ElectionTimeout,
	}
}

func (s *Store) greeting(to uint64) greeting {
	id := s.identity()
	return greeting{Cluster: id.ClusterID, From: id.ID, To: to}
}

// admitGreeting refuses connections that were meant for somebody else.
func (s *Store) admitGreeting(g greeting) error {
	id := s.identity()
	switch {
	case g.To != 0 && g.To != id.ID:
		return fmt.Errorf("%w: asked for member %x", errNotMember, g.To)
	case g.Proto == protoRaft && (g.Cluster == 0 || g.Cluster != id.ClusterID):
		return fmt.Errorf("%w: cluster %x", errNotMember, g.Cluster)
	}
	return nil
}
