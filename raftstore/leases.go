package raftstore

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
)

const (
	// leaseTick is how often the leases' clock advances at least, within maxLeaseTick; what becomes due before is waited for exactly. Each
	// wake-up of an idle process costs more than the work that it is for.
	leaseTick = 200 * time.Millisecond
	// followerTick is the same on a follower, whose clock advances by its leader's heartbeats: a member that is at rest should not wake up for nothing.
	followerTick = 5 * time.Second
	// closingLook is how often a renewal looks whether a lease is still closing.
	closingLook = 5 * time.Millisecond
	// maxExpiries is how many expired leases are proposed for revocation at a time.
	maxExpiries = 64
)

// LeaseGrant makes a lease. Its id is drawn when the request has none.
func (s *Store) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if r.ID == 0 {
		id, err := newID()
		if err != nil {
			return nil, err
		}
		r = &pb.LeaseGrantRequest{ID: int64(id), TTL: r.TTL}
	}
	resp, err := request(s, ctx, &pb.InternalRaftRequest{LeaseGrant: r}, &pb.LeaseGrantResponse{})
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// LeaseRevoke ends a lease and deletes its keys.
func (s *Store) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	resp, err := request(s, ctx, &pb.InternalRaftRequest{LeaseRevoke: r}, &pb.LeaseRevokeResponse{})
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// LeaseRenew extends a lease to its full time to live, which it returns in seconds. Success means that the lease will not
// be revoked for that long, counted from any moment before the call. It fails with lease.ErrLeaseNotFound when the lease
// is certainly gone; with any other error nothing is known.
func (s *Store) LeaseRenew(ctx context.Context, id int64) (ttl int64, err error) {
	return retryLeader(s, ctx, func(ctx context.Context, n *node) (int64, error) {
		if n.isLeader() {
			return s.renewLocal(ctx, n, id)
		}
		var w writer
		w.i64(id)
		b, err := s.askLeader(ctx, methodRenew, w)
		if err != nil {
			return 0, readError(err) // a renewal may be asked for twice
		}
		r := reader{buf: b}
		ttl := r.i64()
		return ttl, r.done("renewal")
	})
}

// renewLocal renews a lease on the leader. No log entry, no disk: a quorum confirms the leadership and hears of the
// renewal, then the deadline moves.
func (s *Store) renewLocal(ctx context.Context, n *node, id int64) (int64, error) {
	for {
		if err := s.appliedAll(ctx, n); err != nil {
			return 0, err
		}
		ttl, grant, known := s.state.lessor.ttlOf(id)
		var bounds []leaseBound
		if known {
			bounds = []leaseBound{{ID: id, Grant: grant, Remaining: seconds(ttl)}}
		}
		// Also for a lease that is not there: a leader that was deposed knows nothing of what was granted since.
		if err := s.quorum.confirm(ctx, bounds...); err != nil {
			return 0, err
		}
		if !known {
			return 0, lease.ErrLeaseNotFound
		}
		renewed := false
		s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { renewed = t.renew(now, id, grant) })
		if renewed {
			s.metrics.renewed()
			return ttl, nil
		}
		if err := s.awaitClosing(ctx, id); err != nil {
			return 0, err
		}
	}
}

// appliedAll waits until this leader has applied what is committed by now: a follower can have applied it before, and have told a client of it. What
// the leader then says of its leases is not older (etcd's waitAppliedIndex is for the same).
func (s *Store) appliedAll(ctx context.Context, n *node) error {
	if _, err := s.waitReady(ctx, n); err != nil {
		return err
	}
	return s.state.progress.wait(ctx, n.raft.CommitIndex())
}

// awaitClosing waits while a lease is closing; it may turn out revoked or not.
func (s *Store) awaitClosing(ctx context.Context, id int64) error {
	tick := time.NewTicker(closingLook)
	defer tick.Stop()
	for {
		closing := false
		s.state.lessor.withTimes(func(t *leaseTimes, _ time.Duration) {
			l := t.leases[id]
			closing = l != nil && l.closing
		})
		if !closing {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// LeaseTimeToLive tells how long a lease has left, -1 for a lease that is not there, and its keys if asked.
func (s *Store) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	left, err := retryLeader(s, ctx, func(ctx context.Context, n *node) (time.Duration, error) {
		if n.isLeader() {
			return s.leftLocal(ctx, n, r.ID)
		}
		var w writer
		w.i64(r.ID)
		b, err := s.askLeader(ctx, methodTTL, w)
		if err != nil {
			return 0, readError(err)
		}
		in := reader{buf: b}
		index, left := in.u64(), time.Duration(in.i64())
		if err := in.done("time to live"); err != nil {
			return 0, err
		}
		return left, s.state.progress.wait(ctx, index)
	})
	if err != nil {
		return nil, err
	}
	resp := s.timeToLive(r, left)
	return resp, s.guarded(ctx, func(who *auth.AuthInfo) error {
		for _, key := range resp.Keys {
			if err := s.state.auth.IsRangePermitted(who, key, nil); err != nil {
				return err
			}
		}
		return nil
	}, func() error { return nil })
}

// goneLease is the time left of a lease that is not there.
const goneLease = time.Duration(-1 << 62)

func (s *Store) leftLocal(ctx context.Context, n *node, id int64) (time.Duration, error) {
	index, err := s.leaderIndex(ctx, n)
	if err != nil {
		return 0, err
	}
	if err := s.state.progress.wait(ctx, index); err != nil {
		return 0, err
	}
	left, ok := goneLease, false
	s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { left, ok = t.remaining(now, id) })
	if !ok {
		return goneLease, nil
	}
	return max(0, left), nil
}

func (s *Store) timeToLive(r *pb.LeaseTimeToLiveRequest, left time.Duration) *pb.LeaseTimeToLiveResponse {
	resp := &pb.LeaseTimeToLiveResponse{Header: s.Header(), ID: r.ID, TTL: -1}
	ttl, _, ok := s.state.lessor.ttlOf(r.ID)
	if left == goneLease || !ok {
		return resp
	}
	resp.TTL, resp.GrantedTTL = int64(left/time.Second), ttl
	if r.Keys {
		for _, k := range s.state.lessor.keysOf(r.ID) {
			resp.Keys = append(resp.Keys, []byte(k))
		}
	}
	return resp
}

// LeaseLeases lists all leases.
func (s *Store) LeaseLeases(ctx context.Context, _ *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	if err := s.linearize(ctx); err != nil {
		return nil, err
	}
	resp := &pb.LeaseLeasesResponse{Header: s.Header()}
	for _, l := range s.state.lessor.Leases() {
		resp.Leases = append(resp.Leases, &pb.LeaseStatus{ID: int64(l.ID)})
	}
	return resp, nil
}

// leaseBeat advances a follower's clock when a heartbeat comes, which wakes it anyway.
func (s *Store) leaseBeat() { s.state.lessor.tick() }

// leaseLoop keeps the leases' clock going and, on the leader, proposes the end of those that ran out.
func (s *Store) leaseLoop() {
	timer := time.NewTimer(leaseTick)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.promoted:
		case <-s.ctx.Done():
			return
		}
		s.expireDue()
		wait := leaseTick
		s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) {
			if wait = min(wait, t.wait(now)); !t.leading {
				wait = followerTick // becoming the leader ends it
			}
		})
		timer.Reset(max(wait, time.Millisecond))
	}
}

func (s *Store) expireDue() {
	var due []dueLease
	s.state.lessor.withTimes(func(t *leaseTimes, now time.Duration) { due = t.due(now, maxExpiries) })
	if len(due) == 0 {
		return
	}
	n := s.node.Load()
	term, _ := s.lead.get()
	for _, d := range due {
		s.wg.Go(func() { s.expireLease(n, d, term) })
	}
}

// expireLease proposes the end of one lease and waits for the outcome; until then the lease is closing.
func (s *Store) expireLease(n *node, d dueLease, term uint64) {
	_, err := s.applyLocal(s.ctx, n, expiry{Lease: d.ID, Grant: d.Grant, Term: term}.encode())
	switch {
	case err == nil:
		// Not gone when the proposal came too early or too late in this node's leading: then it is tried again.
		s.state.lessor.withTimes(func(t *leaseTimes, _ time.Duration) { t.reopen(d) })
		if _, grant, there := s.state.lessor.ttlOf(d.ID); !there || grant != d.Grant {
			s.metrics.expired()
			s.log.Info("lease expired", "lease", FormatID(uint64(d.ID)))
		}
	case errors.Is(err, errNotLeaderRetry), errors.Is(err, etcderrors.ErrTooManyRequests):
		s.state.lessor.withTimes(func(t *leaseTimes, _ time.Duration) { t.reopen(d) })
	default:
		// The entry may yet be committed. This node leads no more in that term; if it ever leads again, it does so after
		// it applied whatever became of the entry.
		s.log.Info("outcome of an expiry unknown", "lease", FormatID(uint64(d.ID)), "error", err)
	}
}
