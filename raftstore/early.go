package raftstore

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// standing is what a member says of itself before an early election: whether it knows a leader, and how far its log goes.
type standing struct {
	Leader              bool
	ID                  uint64
	LastTerm, LastIndex uint64
}

func (st standing) encode() []byte {
	var w writer
	w.bool(st.Leader)
	w.u64(st.ID)
	w.u64(st.LastTerm)
	w.u64(st.LastIndex)
	return w
}

func decodeStanding(b []byte) (standing, error) {
	r := reader{buf: b}
	st := standing{Leader: r.bool(), ID: r.u64(), LastTerm: r.u64(), LastIndex: r.u64()}
	return st, r.done("standing")
}

// before says whose election is the better one: the longer log (Raft, 5.4.1), and of two alike the higher id's.
func (st standing) before(o standing) bool {
	return cmp.Or(cmp.Compare(st.LastTerm, o.LastTerm), cmp.Compare(st.LastIndex, o.LastIndex), cmp.Compare(st.ID, o.ID)) > 0
}

func (s *Store) standing(n *node) standing {
	stats := n.raft.Stats()
	number := func(key string) uint64 {
		v, _ := strconv.ParseUint(stats[key], 10, 64) // the library's own numbers
		return v
	}
	_, leader := n.raft.LeaderWithID()
	return standing{Leader: leader != "", ID: s.ID(), LastTerm: number("last_log_term"), LastIndex: number("last_log_index")}
}

// electEarly has a member that was just started stand for election at once when a quorum, itself included, knows no leader and none of those that
// answer has the better log: after a stop of the whole cluster nobody need wait for a timer (etcd shortens its first one likewise,
// --initial-election-tick-advance). It stands as the target of a transfer does, without the question beforehand whether others have a leader, which
// was just asked. Whatever it gets wrong costs an election; timers do the rest.
func (s *Store) electEarly(n *node) {
	ctx, cancel := context.WithTimeout(s.ctx, 2*s.opts.ElectionTimeout)
	defer cancel()
	for ctx.Err() == nil {
		own := s.standing(n)
		if own.Leader {
			return
		}
		if s.shouldStand(ctx, n, own) {
			if err := n.trans.campaign(ctx); err != nil {
				s.log.Debug("standing for election early", "error", err)
			}
			return
		}
		select {
		case <-time.After(s.opts.ElectionTimeout / 20):
		case <-ctx.Done():
		}
	}
}

// shouldStand asks all voters.
func (s *Store) shouldStand(ctx context.Context, n *node, own standing) bool {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ElectionTimeout/5)
	defer cancel()
	var mu sync.Mutex // guards answers and better
	var wg sync.WaitGroup
	voters, answers, better := n.voters(), 0, false
	for _, v := range voters {
		wg.Go(func() {
			st := own
			if v.ID != n.self {
				b, err := s.conns.call(ctx, memberID(v.ID), hostPort(v.Address), methodStanding, nil)
				if err != nil {
					return
				}
				if st, err = decodeStanding(b); err != nil {
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			answers++
			better = better || st.Leader || st.before(own)
		})
	}
	wg.Wait()
	return !better && answers > len(voters)/2 && isVoter(voters, n.self) && !s.disk.stalled()
}

func isVoter(voters []raft.Server, id raft.ServerID) bool {
	for _, v := range voters {
		if v.ID == id {
			return true
		}
	}
	return false
}
