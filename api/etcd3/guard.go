package etcd3

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// leaderlessElections is how many election timeouts without a leader end the streams that asked for one. etcd's number:
// opening streams anew costs far more than refusing requests, so they get the time of an ordinary election.
const leaderlessElections = 3

// guard ends streams from this side: those that asked for a leader when there has been none for too long, and all of them
// when the server stops. A stream's cause of death is what its client is told.
type guard struct {
	store Store

	mu      sync.Mutex // guards the fields below
	streams map[*guardedStream]struct{}
	stopped bool
}

type guardedStream struct {
	cancel      context.CancelCauseFunc
	needsLeader bool
}

func newGuard(s Store) *guard {
	return &guard{store: s, streams: map[*guardedStream]struct{}{}}
}

// add puts a stream under guard. The caller calls release when the stream has ended.
func (g *guard) add(ctx context.Context, needsLeader bool) (guarded context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &guardedStream{cancel: cancel, needsLeader: needsLeader}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		cancel(rpctypes.ErrGRPCStopped)
		return ctx, func() {}
	}
	g.streams[s] = struct{}{}
	return ctx, func() {
		g.mu.Lock()
		delete(g.streams, s)
		g.mu.Unlock()
		cancel(nil)
	}
}

// run watches the leader until ctx ends or the store has stopped.
func (g *guard) run(ctx context.Context) {
	for {
		changed := g.store.LeaderChanged()
		var patience <-chan time.Time
		if g.store.Leader() == 0 {
			timer := time.NewTimer(leaderlessElections * g.store.ElectionTimeout())
			patience = timer.C
		}
		select {
		case <-changed:
		case <-patience:
			g.endLeaderless()
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-g.store.Done():
				g.stop()
				return
			}
		case <-ctx.Done():
			return
		case <-g.store.Done():
			g.stop()
			return
		}
	}
}

func (g *guard) endLeaderless() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.streams {
		if s.needsLeader {
			s.cancel(rpctypes.ErrGRPCNoLeader)
		}
	}
}

// stop ends every stream and refuses those that come later.
func (g *guard) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	for s := range g.streams {
		s.cancel(rpctypes.ErrGRPCStopped)
	}
}
