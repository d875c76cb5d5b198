package raftstore

import (
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Member is the replicated record of one store host. Whether it votes is not in it: that is Raft's configuration.
type Member struct {
	ID         uint64
	Name       string   // empty until the member has started once, as in etcd
	PeerAddr   string   // host:port of the peer port
	PeerURLs   []string // as an operator gave them; derived from PeerAddr when empty
	ClientURLs []string
	// WantVote says that the leader promotes the member to a voter when it keeps up. False for a member that an operator
	// added as a learner.
	WantVote bool
	// Election is the member's election timeout. The longest one bounds how short a lease may be: see
	// Store.LongestElectionTimeout.
	Election time.Duration
}

func (m Member) write(w *writer) {
	w.u64(m.ID)
	w.str(m.Name)
	w.str(m.PeerAddr)
	w.strs(m.PeerURLs)
	w.strs(m.ClientURLs)
	w.bool(m.WantVote)
	w.u64(uint64(m.Election))
}

func readMember(r *reader) Member {
	return Member{
		ID: r.u64(), Name: r.str(), PeerAddr: r.str(),
		PeerURLs: r.strs(), ClientURLs: r.strs(), WantVote: r.bool(), Election: time.Duration(r.u64()),
	}
}

// proto is the member as etcd's clients are shown it.
func (m Member) proto(scheme string, learner bool) *pb.Member {
	urls := m.PeerURLs
	if len(urls) == 0 {
		urls = []string{scheme + "://" + m.PeerAddr}
	}
	return &pb.Member{ID: m.ID, Name: m.Name, PeerURLs: urls, ClientURLs: m.ClientURLs, IsLearner: learner}
}

// FormatID is a member or cluster id as etcd prints it and as Raft's server id: hexadecimal.
func FormatID(id uint64) string { return fmt.Sprintf("%x", id) }
