package raftstore

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"
)

// joinRequest asks a cluster to take a host in; the reply tells it who it is there.
type joinRequest struct {
	Member Member `json:"member"`
}

type joinReply struct {
	ClusterID uint64 `json:"cluster_id"`
	MemberID  uint64 `json:"member_id"`
	// Leader is where to ask instead, when the host asked does not lead.
	Leader string `json:"leader,omitempty"`
}

// joinThrough has this host, which has no data, taken into the cluster of another one.
func (s *Store) joinThrough(ctx context.Context, h hello) error {
	if ok, err := s.promises.join(); err != nil || !ok {
		return err
	}
	addr := h.Leader
	if addr == "" {
		addr = h.Member.PeerAddr
	}
	b, err := s.conns.call(ctx, 0, addr, methodJoin, encodeJSON(joinRequest{Member: s.self()}))
	if err != nil {
		return fmt.Errorf("join the cluster through %s: %w", addr, err)
	}
	r, err := decodeJSON[joinReply](b)
	if err != nil {
		return err
	}
	if r.ClusterID == 0 {
		return fmt.Errorf("join the cluster: %s does not lead", addr)
	}
	return s.becomeJoiner(r)
}

func (s *Store) becomeJoiner(r joinReply) error {
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	if s.node.Load() != nil {
		return nil
	}
	if err := s.setIdentity(func(id *identity) { id.ClusterID, id.ID = r.ClusterID, r.MemberID }); err != nil {
		return err
	}
	s.state.onTermStart = s.lead.started(r.MemberID) // before Raft runs, so nobody reads it yet
	s.conns.drop()
	if err := s.startRaft(nil); err != nil {
		s.fail(err)
		return err
	}
	s.log.Info("joined", "cluster", FormatID(r.ClusterID), "member", FormatID(r.MemberID))
	return nil
}

// handleJoin takes a host in, or says who leads.
func (s *Store) handleJoin(ctx context.Context, body []byte) ([]byte, error) {
	req, err := decodeJSON[joinRequest](body)
	if err != nil {
		return nil, err
	}
	n := s.node.Load()
	if n == nil || req.Member.ID == 0 || req.Member.PeerAddr == "" {
		return nil, errNotMember
	}
	if _, err := s.waitReady(ctx, n); err != nil {
		_, leader, _ := s.leader.get()
		return encodeJSON(joinReply{Leader: leader}), nil
	}
	id, err := s.takeIn(ctx, n, req.Member)
	if err != nil {
		return nil, err
	}
	return encodeJSON(joinReply{ClusterID: s.ClusterID(), MemberID: id}), nil
}

// takeIn makes a host a learner and returns its member id. A host that comes with an address that the cluster knows is
// either one for which MemberAdd prepared a place, and takes that, or one whose folder was emptied: its old self can
// never come back at that address, has lost its votes, and is removed before the new one is added. Not while it still answers.
func (s *Store) takeIn(ctx context.Context, n *node, m Member) (uint64, error) {
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	m.WantVote = true
	for _, srv := range n.servers() {
		id := memberID(srv.ID)
		switch {
		case srv.ID == serverID(m.ID):
			return m.ID, s.refresh(ctx, n, srv, m) // asked before, and did not hear the answer
		case hostPort(srv.Address) != m.PeerAddr:
			continue
		}
		old, known := s.state.member(id)
		if known && old.Name == "" {
			m.ID, m.WantVote, m.PeerURLs = id, old.WantVote, old.PeerURLs
			return id, s.putMember(ctx, n, m)
		}
		_, heard := n.trans.progress(srv.ID, n.raft.CurrentTerm())
		if srv.ID == n.self || s.recent(heard) || s.recent(s.lead.readySince()) {
			// It answers there, or may: this host was perhaps given another one's address by mistake.
			return 0, fmt.Errorf("%w: member %s answered at %s lately", ErrPeerURLExists, FormatID(id), m.PeerAddr)
		}
		s.log.Warn("a member came back with an empty folder; its old self is removed", "old", FormatID(id), "new", FormatID(m.ID))
		if err := s.removeMember(ctx, n, id); err != nil {
			return 0, err
		}
	}
	return m.ID, s.addMember(ctx, n, m)
}

func (s *Store) refresh(ctx context.Context, n *node, srv raft.Server, m Member) error {
	if err := s.putMember(ctx, n, m); err != nil {
		return err
	}
	if addr := raftAddr(m.ID, m.PeerAddr); srv.Address != addr {
		return s.updateMember(ctx, n, m)
	}
	return nil
}

// tellAddress has the leader learn under which address this member is now, when it was moved (Options.AdoptFolder): the
// leader cannot reach it to be asked, so whoever discovery shows is.
func (s *Store) tellAddress(n *node) {
	self := s.self()
	srv, ok := n.server(self.ID)
	if !ok || srv.Address == raftAddr(self.ID, self.PeerAddr) || s.Leader() != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	others, _ := s.greetPeers(ctx)
	for _, h := range others {
		if h.Cluster != s.ClusterID() || h.Leader == "" {
			continue
		}
		_, err := s.conns.call(ctx, 0, h.Leader, methodJoin, encodeJSON(joinRequest{Member: self}))
		s.log.Info("told the leader of this member's new address", "leader", h.Leader, "error", err)
		return
	}
}

// publish makes this member's record say what its configuration says.
func (s *Store) publish() {
	for s.ctx.Err() == nil {
		record, ok := s.state.member(s.ID())
		want := s.self()
		if ok {
			want.PeerURLs, want.WantVote = record.PeerURLs, record.WantVote
		}
		if ok && sameRecord(record, want) {
			return
		}
		if _, err := s.submit(s.ctx, encodeMember(want)); err == nil {
			return
		}
		if !s.sleep(foundPause) {
			return
		}
	}
}

func sameRecord(a, b Member) bool {
	var wa, wb writer
	a.write(&wa)
	b.write(&wb)
	return string(wa) == string(wb)
}
