package raftstore

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// kind is the first byte of every command in the log and says how to read the rest.
type kind byte

const (
	// kindEtcd carries an etcdserverpb.InternalRaftRequest: everything that etcd's API can ask for.
	kindEtcd kind = 1
	// kindTermStart is the first command of each leader. Having applied it, the leader has applied all that any leader
	// before it committed (Raft thesis, 6.4), and only then answers reads and keep-alives.
	kindTermStart kind = 2
	// kindFound names the cluster and its founders: see founding.
	kindFound kind = 3
	// kindExpire revokes a lease whose time has run out: see expiry.
	kindExpire kind = 4
	// kindMember puts a member's record.
	kindMember kind = 5
	// kindV2 changes the v2 key space: see v2keys.
	kindV2 kind = 7
	// kindV2Users changes the users and roles of the v2 API: a v2users.Change as JSON.
	kindV2Users kind = 8
	// kindMemberGone deletes a member's record.
	kindMemberGone kind = 6
)

// termStart is the payload of kindTermStart.
type termStart struct {
	Term   uint64
	Leader uint64
}

func (t termStart) encode() []byte {
	w := writer{byte(kindTermStart)}
	w.u64(t.Term)
	w.u64(t.Leader)
	return w
}

func decodeTermStart(b []byte) (termStart, error) {
	r := reader{buf: b}
	t := termStart{Term: r.u64(), Leader: r.u64()}
	return t, r.done("start of term")
}

// founding is the payload of kindFound. It holds when the cluster's id is Replaces: 0 for one that has no id yet, another
// one after the quorum was lost and an operator went on with the survivors.
type founding struct {
	ClusterID uint64
	Replaces  uint64
	Members   []Member
}

func (f founding) encode() []byte {
	w := writer{byte(kindFound)}
	w.u64(f.ClusterID)
	w.u64(f.Replaces)
	w.u64(uint64(len(f.Members)))
	for _, m := range f.Members {
		m.write(&w)
	}
	return w
}

func decodeFounding(b []byte) (founding, error) {
	r := reader{buf: b}
	f := founding{ClusterID: r.u64(), Replaces: r.u64()}
	for range r.count(4) {
		f.Members = append(f.Members, readMember(&r))
	}
	return f, r.done("founding")
}

// expiry is the payload of kindExpire. Apply decides by it and by the entry's own term, never by a leader's memory, so
// that every replica decides alike: the lease goes when it is still the one granted at log index Grant, and when the
// entry was appended in the very term in which its proposer decided. A proposal that waited in a queue while its
// node lost and regained leadership does nothing, because holders may have renewed with another leader in between.
type expiry struct {
	Lease int64
	Grant uint64
	Term  uint64
}

func (e expiry) encode() []byte {
	w := writer{byte(kindExpire)}
	w.i64(e.Lease)
	w.u64(e.Grant)
	w.u64(e.Term)
	return w
}

func decodeExpiry(b []byte) (expiry, error) {
	r := reader{buf: b}
	e := expiry{Lease: r.i64(), Grant: r.u64(), Term: r.u64()}
	return e, r.done("expiry")
}

func encodeMember(m Member) []byte {
	w := writer{byte(kindMember)}
	m.write(&w)
	return w
}

func encodeMemberGone(id uint64) []byte {
	w := writer{byte(kindMemberGone)}
	w.u64(id)
	return w
}

func encodeEtcd(r *pb.InternalRaftRequest) ([]byte, error) {
	b, err := proto.MarshalOptions{}.MarshalAppend([]byte{byte(kindEtcd)}, r)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return b, nil
}
