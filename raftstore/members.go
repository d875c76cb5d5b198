package raftstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

const (
	// inSyncEntries is how many entries a learner may lack to be called in step.
	inSyncEntries = 250
	// maxLearners bounds the learners that have not been promoted; etcd allows one.
	maxLearners = 7
	// changeTimeout bounds a change of Raft's configuration.
	changeTimeout = 5 * time.Second
)

// memberChange is a change of members on its way to the leader.
type memberChange struct {
	Op     memberOp `json:"op"`
	Member Member   `json:"member"`
}

type memberOp string

const (
	opAdd     memberOp = "add"
	opRemove  memberOp = "remove"
	opUpdate  memberOp = "update"
	opPromote memberOp = "promote"
	opMove    memberOp = "move-leader"
)

// MemberAdd prepares a place for a host that will start later: one that starts empty at the given peer URL takes it. It
// begins as a learner in any case. Unless the request says that it shall stay one, the leader makes it a voter when it
// keeps up, so that a host that never comes does not count towards the quorum.
func (s *Store) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	addr, err := peerURLAddr(r.PeerURLs)
	if err != nil {
		return nil, err
	}
	id, err := newID()
	if err != nil {
		return nil, err
	}
	m := Member{ID: id, PeerAddr: addr, PeerURLs: r.PeerURLs, WantVote: !r.IsLearner}
	if err := s.changeMembers(ctx, memberChange{Op: opAdd, Member: m}); err != nil {
		return nil, err
	}
	return &pb.MemberAddResponse{Header: s.Header(), Member: m.proto(s.scheme(), r.IsLearner), Members: s.Members()}, nil
}

// peerURLAddr is the host:port of a member's peer URLs: our members have one.
func peerURLAddr(urls []string) (string, error) {
	if len(urls) == 0 {
		return "", ErrBadPeerURL
	}
	u, err := url.Parse(urls[0])
	if err == nil && (u.Scheme == "unix" || u.Scheme == "unixs") && u.Host+u.Path != "" {
		return u.Host + u.Path, nil
	}
	if err != nil || u.Path != "" && u.Path != "/" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", ErrBadPeerURL
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return "", ErrBadPeerURL
	}
	return u.Host, nil
}

// MemberRemove takes a member out for good. Its folder cannot come back.
func (s *Store) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	if err := s.changeMembers(ctx, memberChange{Op: opRemove, Member: Member{ID: r.ID}}); err != nil {
		return nil, err
	}
	return &pb.MemberRemoveResponse{Header: s.Header(), Members: s.Members()}, nil
}

// MemberUpdate changes a member's peer URL.
func (s *Store) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	addr, err := peerURLAddr(r.PeerURLs)
	if err != nil {
		return nil, err
	}
	m := Member{ID: r.ID, PeerAddr: addr, PeerURLs: r.PeerURLs}
	if err := s.changeMembers(ctx, memberChange{Op: opUpdate, Member: m}); err != nil {
		return nil, err
	}
	return &pb.MemberUpdateResponse{Header: s.Header(), Members: s.Members()}, nil
}

// MemberPromote makes a learner that keeps up a voter.
func (s *Store) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	if err := s.changeMembers(ctx, memberChange{Op: opPromote, Member: Member{ID: r.ID}}); err != nil {
		return nil, err
	}
	return &pb.MemberPromoteResponse{Header: s.Header(), Members: s.Members()}, nil
}

// MoveLeader hands leadership to a voter that keeps up. Only the leader does it, as in etcd.
func (s *Store) MoveLeader(ctx context.Context, target uint64) error {
	n, err := s.serving()
	if err != nil {
		return err
	}
	if !n.isLeader() {
		return etcderrors.ErrNotLeader
	}
	return s.clientErrorOrNil(ctx, s.moveLeader(ctx, n, target))
}

func (s *Store) clientErrorOrNil(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return s.clientError(ctx, err)
}

// MemberList lists the members, linearizably if asked.
func (s *Store) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if err := s.fresh(ctx, !r.Linearizable); err != nil {
		return nil, err
	}
	return &pb.MemberListResponse{Header: s.Header(), Members: s.Members()}, nil
}

// Members lists the members as this node knows them, by id.
func (s *Store) Members() []*pb.Member {
	n := s.node.Load()
	var list []*pb.Member
	if n == nil {
		return nil
	}
	for _, srv := range n.servers() {
		m, ok := s.state.member(memberID(srv.ID))
		if !ok {
			m = Member{ID: memberID(srv.ID), PeerAddr: hostPort(srv.Address)}
		}
		list = append(list, m.proto(s.scheme(), srv.Suffrage != raft.Voter))
	}
	slices.SortFunc(list, func(a, b *pb.Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list
}

// scheme is that of peer URLs.
func (s *Store) scheme() string {
	if s.opts.TLS != nil {
		return "https"
	}
	return "http"
}

// changeMembers has the leader make a change, and waits until this node knows of it.
func (s *Store) changeMembers(ctx context.Context, c memberChange) error {
	body := encodeJSON(c)
	_, err := retryLeader(s, ctx, func(ctx context.Context, n *node) (struct{}, error) {
		if n.isLeader() {
			return struct{}{}, s.changeLocal(ctx, n, c)
		}
		b, err := s.askLeader(ctx, methodMembers, body)
		if err != nil {
			return struct{}{}, err
		}
		r := reader{buf: b}
		index := r.u64()
		if err := r.done("change of members"); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.state.progress.wait(ctx, index)
	})
	return err
}

func (s *Store) handleMembers(ctx context.Context, n *node, body []byte) ([]byte, error) {
	c, err := decodeJSON[memberChange](body)
	if err != nil {
		return nil, err
	}
	if err := s.changeLocal(ctx, n, c); err != nil {
		return nil, err
	}
	return indexReply(s.state.progress.current(), nil)
}

// changeLocal makes a change on the leader.
func (s *Store) changeLocal(ctx context.Context, n *node, c memberChange) error {
	if _, err := s.waitReady(ctx, n); err != nil {
		return err
	}
	switch c.Op {
	case opAdd:
		return s.addMember(ctx, n, c.Member)
	case opRemove:
		return s.removeMember(ctx, n, c.Member.ID)
	case opUpdate:
		return s.updateMember(ctx, n, c.Member)
	case opPromote:
		return s.promoteMember(n, c.Member.ID)
	case opMove:
		return s.moveLeader(ctx, n, c.Member.ID)
	}
	return fmt.Errorf("unknown change of members %q", c.Op)
}

func (s *Store) addMember(ctx context.Context, n *node, m Member) error {
	learners := 0
	for _, srv := range n.servers() {
		switch {
		case srv.ID == serverID(m.ID):
			return ErrMemberExists
		case hostPort(srv.Address) == m.PeerAddr:
			return ErrPeerURLExists
		case srv.Suffrage != raft.Voter:
			learners++
		}
	}
	if learners >= maxLearners {
		return ErrTooManyLearners
	}
	// The record first: a server without a record would be shown without a name, a record without a server not at all.
	if err := s.putMember(ctx, n, m); err != nil {
		return err
	}
	return s.changed(n.raft.AddNonvoter(serverID(m.ID), raftAddr(m.ID, m.PeerAddr), 0, changeTimeout))
}

func (s *Store) putMember(ctx context.Context, n *node, m Member) error {
	_, err := s.applyLocal(ctx, n, encodeMember(m))
	return err
}

func (s *Store) removeMember(ctx context.Context, n *node, id uint64) error {
	srv, ok := n.server(id)
	if !ok {
		return ErrMemberNotFound
	}
	if srv.Suffrage == raft.Voter && !s.quorumWithout(n, srv.ID) {
		return etcderrors.ErrNotEnoughStartedMembers
	}
	if err := s.changed(n.raft.RemoveServer(srv.ID, 0, changeTimeout)); err != nil {
		return err
	}
	if srv.ID == n.self {
		return nil // no longer leading; the next leader drops the record, see housekeeping
	}
	_, err := s.applyLocal(ctx, n, encodeMemberGone(id))
	return err
}

// quorumWithout says whether, with one voter taken out, enough of the others are known to be there.
func (s *Store) quorumWithout(n *node, gone raft.ServerID) bool {
	left, there := 0, 0
	for _, v := range n.voters() {
		if v.ID == gone {
			continue
		}
		left++
		if _, heard := n.trans.progress(v.ID, n.raft.CurrentTerm()); v.ID == n.self || s.recent(heard) {
			there++
		}
	}
	return left > 0 && there >= left/2+1
}

func (s *Store) recent(t time.Time) bool { return time.Since(t) < 4*s.opts.ElectionTimeout }

func (s *Store) updateMember(ctx context.Context, n *node, m Member) error {
	srv, ok := n.server(m.ID)
	if !ok {
		return ErrMemberNotFound
	}
	for _, other := range n.servers() {
		if other.ID != srv.ID && hostPort(other.Address) == m.PeerAddr {
			return ErrPeerURLExists
		}
	}
	record, _ := s.state.member(m.ID)
	record.ID, record.PeerAddr, record.PeerURLs = m.ID, m.PeerAddr, m.PeerURLs
	if err := s.putMember(ctx, n, record); err != nil {
		return err
	}
	addr := raftAddr(m.ID, m.PeerAddr)
	if srv.Address == addr {
		return nil
	}
	if srv.Suffrage == raft.Voter {
		return s.changed(n.raft.AddVoter(srv.ID, addr, 0, changeTimeout))
	}
	return s.changed(n.raft.AddNonvoter(srv.ID, addr, 0, changeTimeout))
}

func (s *Store) promoteMember(n *node, id uint64) error {
	srv, ok := n.server(id)
	switch {
	case !ok:
		return ErrMemberNotFound
	case srv.Suffrage == raft.Voter:
		return ErrMemberNotLearner
	case !s.inSync(n, srv.ID):
		return etcderrors.ErrLearnerNotReady
	}
	return s.changed(n.raft.AddVoter(srv.ID, srv.Address, 0, changeTimeout))
}

// inSync says whether a server is there and holds nearly all of the log.
func (s *Store) inSync(n *node, id raft.ServerID) bool {
	match, heard := n.trans.progress(id, n.raft.CurrentTerm())
	return match > 0 && s.recent(heard) && match+inSyncEntries >= n.raft.LastIndex()
}

// moveLeader transfers leadership. The library is asked only for a target that is there and in step: with any other it may
// forget to take up proposals again (hashicorp/raft#696).
func (s *Store) moveLeader(ctx context.Context, n *node, target uint64) error {
	srv, ok := n.server(target)
	switch {
	case ok && srv.ID == n.self:
		return nil
	case !ok || srv.Suffrage != raft.Voter || !s.inSync(n, srv.ID):
		return etcderrors.ErrBadLeaderTransferee
	}
	f := n.raft.LeadershipTransferToServer(srv.ID, srv.Address)
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%w: %w", etcderrors.ErrTimeoutLeaderTransfer, err)
		}
		return nil
	case <-ctx.Done():
		return etcderrors.ErrTimeoutLeaderTransfer
	}
}

// changed waits for a change of the configuration.
func (s *Store) changed(f raft.IndexFuture) error {
	err := f.Error()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return errNotLeaderRetry
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return etcderrors.ErrTooManyRequests
	case errors.Is(err, raft.ErrRaftShutdown):
		return etcderrors.ErrStopped
	case errors.Is(err, raft.ErrLeadershipLost):
		return etcderrors.ErrTimeoutDueToLeaderFail
	}
	return fmt.Errorf("%w: %w", etcderrors.ErrUnhealthy, err)
}
