package raftstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// foundPause is how often a host without a cluster looks around when nobody nudges it.
const foundPause = 50 * time.Millisecond

// LookAgain tells a host that belongs to no cluster yet that discovery sees new hosts. It is a hint.
func (s *Store) LookAgain() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// foundLoop brings a host without data into a cluster: it founds one with others, or joins one that is there.
func (s *Store) foundLoop() {
	said := ""
	for s.ctx.Err() == nil && s.node.Load() == nil {
		if err := s.foundStep(); err != nil && err.Error() != said {
			said = err.Error()
			s.log.Info("not in a cluster yet", "error", err)
		}
		select {
		case <-s.nudge:
		case <-time.After(foundPause):
		case <-s.ctx.Done():
		}
	}
}

// foundStep does what can be done now. Nothing to do is no error.
func (s *Store) foundStep() error {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	if set := s.promises.promised(); set != nil {
		return s.resolve(ctx, set)
	}
	others, withData := s.greetPeers(ctx)
	for _, h := range others {
		if h.Cluster != 0 {
			return s.joinThrough(ctx, h)
		}
	}
	if withData {
		return errors.New("a host that has data does not answer: waiting for it, since nothing is founded beside it")
	}
	self := s.self()
	founders := choose(self, s.opts.Expect, others)
	if founders == nil {
		return sameExpectation(s.opts.Expect, others)
	}
	var name [16]byte
	if _, err := rand.Read(name[:]); err != nil {
		return err
	}
	set := &FounderSet{Name: hex.EncodeToString(name[:]), Members: founders}
	if r, err := s.promises.promise(set); err != nil || r.Answer != answerPromised {
		return err
	}
	return s.resolve(ctx, set)
}

// sameExpectation is an error when another host would found with another number of hosts.
func sameExpectation(expect int, others []hello) error {
	for _, h := range others {
		if h.Cluster == 0 && h.Expect != expect {
			return fmt.Errorf("host %s (%s) expects %d founders and this one expects %d: set store.expect alike",
				h.Member.Name, h.Member.PeerAddr, h.Expect, expect)
		}
	}
	return nil
}

// greetPeers asks every host that discovery sees who it is. withData says that one of them should have data.
func (s *Store) greetPeers(ctx context.Context) (others []hello, withData bool) {
	ctx, cancel := context.WithTimeout(ctx, 4*s.opts.ElectionTimeout)
	defer cancel()
	self := s.identity()
	var addrs []string
	for _, p := range s.opts.Peers() {
		if p.ID == self.ID || p.PeerAddr == self.PeerAddr || p.PeerAddr == "" {
			continue
		}
		withData = withData || p.HasData
		addrs = append(addrs, p.PeerAddr)
	}
	return s.greetAll(ctx, addrs), withData
}

// greetAll asks all at once who they are, and returns the answers that came.
func (s *Store) greetAll(ctx context.Context, addrs []string) (others []hello) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, addr := range addrs {
		wg.Go(func() {
			h, err := s.greetPeer(ctx, addr)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			others = append(others, h)
		})
	}
	wg.Wait()
	return others
}

func (s *Store) greetPeer(ctx context.Context, addr string) (hello, error) {
	b, err := s.conns.call(ctx, 0, addr, methodHello, nil)
	if err != nil {
		return hello{}, err
	}
	return decodeJSON[hello](b)
}

func (s *Store) hello() hello {
	id := s.identity()
	_, leader, _ := s.leader.get()
	return hello{
		Member: s.self(), Cluster: id.ClusterID, Expect: s.opts.Expect, Leader: leader,
	}
}

// resolve brings the set that this host is promised to to its end: the cluster is founded, or the set is known to be dead
// and the promise is given up, or somebody has not answered and it will be tried again.
func (s *Store) resolve(ctx context.Context, set *FounderSet) error {
	answers, busy := s.askFounders(ctx, set, methodPromise, encodeJSON(set))
	for id, other := range busy {
		// Two sets want the same host. The one with the smaller name has the way; the holders of the other one have it
		// refused, for ever, and let go.
		if other.Name < set.Name {
			m := memberOf(set, id)
			if r, err := s.askFounder(ctx, m, methodRelease, encodeJSON(set)); err == nil {
				answers[id] = r.Answer
			}
		}
	}
	switch judge(set, answers) {
	case verdictDead:
		s.log.Info("founding given up", "set", set.Name)
		return s.promises.release(set.Name)
	case verdictFound:
		return s.found(ctx, set)
	}
	return fmt.Errorf("founding waits: %d of %d hosts have promised", len(answers), len(set.Members))
}

func memberOf(set *FounderSet, id uint64) Member {
	for _, m := range set.Members {
		if m.ID == id {
			return m
		}
	}
	return Member{}
}

// askFounders calls all members of a set but this one, which has promised.
func (s *Store) askFounders(ctx context.Context, set *FounderSet, m method, body []byte) (
	answers map[uint64]answer, busy map[uint64]*FounderSet) {
	ctx, cancel := context.WithTimeout(ctx, 4*s.opts.ElectionTimeout)
	defer cancel()
	self := s.identity().ID
	answers, busy = map[uint64]answer{self: answerPromised}, map[uint64]*FounderSet{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, member := range set.Members {
		if member.ID == self {
			continue
		}
		wg.Go(func() {
			r, err := s.askFounder(ctx, member, m, body)
			if err != nil && s.emptied(ctx, member) {
				r, err = reply{Answer: answerRefused}, nil
			}
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[member.ID] = r.Answer
			if r.Answer == answerBusy && r.Set != nil {
				busy[member.ID] = r.Set
			}
		})
	}
	wg.Wait()
	return answers, maps.Clone(busy)
}

// emptied says whether a founder's folder was emptied before the founding: another host answers at its address. The one
// that was named is gone, and with it whatever it promised.
func (s *Store) emptied(ctx context.Context, m Member) bool {
	h, err := s.greetPeer(ctx, m.PeerAddr)
	return err == nil && h.Member.ID != m.ID
}

func (s *Store) askFounder(ctx context.Context, to Member, m method, body []byte) (reply, error) {
	b, err := s.conns.call(ctx, to.ID, to.PeerAddr, m, body)
	if err != nil {
		return reply{}, err
	}
	return decodeJSON[reply](b)
}

// found founds the cluster of a set to which all its members have promised themselves: here first, then on the others.
func (s *Store) found(ctx context.Context, set *FounderSet) error {
	if err := s.becomeFounder(set); err != nil {
		return err
	}
	answers, _ := s.askFounders(ctx, set, methodFound, encodeJSON(set))
	for _, a := range answers {
		if a != answerFounded && a != answerPromised {
			return fmt.Errorf("a founder answered %q", a)
		}
	}
	return nil
}

// firstElection has the founder with the lowest id stand for election once the others are there, without waiting for a
// timer. If it comes to nothing, the timers are still there.
func (s *Store) firstElection(set *FounderSet) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	s.askFounders(ctx, set, methodFound, encodeJSON(set))
	n := s.node.Load()
	if _, leader := n.raft.LeaderWithID(); leader != "" {
		return
	}
	if err := n.trans.campaign(ctx); err != nil {
		s.log.Info("the first election waits for its timer", "error", err)
	}
}

// becomeFounder makes this host a founding member. It may be called again after an interruption.
func (s *Store) becomeFounder(set *FounderSet) error {
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	if s.node.Load() != nil {
		return nil
	}
	if p := s.promises.promised(); p == nil || p.Name != set.Name {
		return errors.New("this host has not promised itself to the founder set " + set.Name)
	}
	if err := s.setIdentity(func(id *identity) { id.ClusterID, id.Founders = set.clusterID(), set }); err != nil {
		return err
	}
	s.conns.drop() // they were opened by a host of no cluster
	if err := s.startRaft(set); err != nil {
		s.fail(err)
		return err
	}
	if set.Members[0].ID == s.identity().ID {
		s.wg.Go(func() { s.firstElection(set) })
	}
	s.log.Info("cluster founded", "cluster", FormatID(set.clusterID()), "founders", len(set.Members))
	return nil
}

// handleFounding answers the founding calls of others.
func (s *Store) handleFounding(m method, body []byte) ([]byte, error) {
	set, err := decodeJSON[*FounderSet](body)
	if err != nil {
		return nil, err
	}
	if set == nil {
		return nil, errShort
	}
	r, err := s.answerFounding(m, set)
	if err != nil {
		return nil, err
	}
	return encodeJSON(r), nil
}

func (s *Store) answerFounding(m method, set *FounderSet) (reply, error) {
	if id := s.identity(); id.member() {
		if id.Founders != nil && id.Founders.Name == set.Name {
			return reply{Answer: answerFounded}, nil
		}
		return reply{Answer: answerRefused}, nil
	}
	switch m {
	case methodPromise:
		return s.promises.promise(set)
	case methodRelease:
		return s.promises.refuse(set.Name)
	}
	if err := s.becomeFounder(set); err != nil {
		return reply{}, err
	}
	return reply{Answer: answerFounded}, nil
}
