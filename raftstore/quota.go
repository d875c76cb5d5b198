package raftstore

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"google.golang.org/protobuf/proto"
)

// What a write costs, in bytes of the backend, beside its own keys and values: etcd's estimates (server/storage/quota.go).
const (
	leaseOverhead = 64
	kvOverhead    = 256
)

// cost estimates by how much a request grows the data; 0 for one that does not.
func cost(r *pb.InternalRaftRequest) int64 {
	switch {
	case r.Put != nil:
		return costPut(r.Put)
	case r.Txn != nil:
		return costTxn(r.Txn)
	case r.LeaseGrant != nil:
		return leaseOverhead
	}
	return 0
}

func costPut(r *pb.PutRequest) int64 { return int64(kvOverhead + len(r.Key) + len(r.Value)) }

// costTxn is that of the dearer branch.
func costTxn(r *pb.TxnRequest) int64 { return max(costOps(r.Success), costOps(r.Failure)) }

func costOps(ops []*pb.RequestOp) (sum int64) {
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil {
			sum += costPut(p)
		}
		if t := op.GetRequestTxn(); t != nil {
			sum += costTxn(t)
		}
	}
	return sum
}

// room says whether the quota leaves room for a request. It counts live data, not the file: bbolt's file never shrinks by
// itself, and its free pages are as good as free disk.
func (s *Store) room(r *pb.InternalRaftRequest) bool {
	c := cost(r)
	if c == 0 || s.opts.QuotaBytes < 0 {
		return true
	}
	_, inUse := s.state.size()
	return inUse+c < s.opts.QuotaBytes
}

// roomFor is space for a command that another member forwarded.
func (s *Store) roomFor(cmd []byte) error {
	if len(cmd) == 0 || kind(cmd[0]) != kindEtcd {
		return nil
	}
	if s.plenty(cmd) {
		return nil
	}
	var r pb.InternalRaftRequest
	if err := proto.Unmarshal(cmd[1:], &r); err != nil {
		return fmt.Errorf("decode forwarded request: %w", err)
	}
	return s.space(&r)
}

// plenty says that there is room for a command whatever is in it: no operation takes less than a byte of it.
func (s *Store) plenty(cmd []byte) bool {
	if s.disk.room.tight() {
		return false
	}
	_, inUse := s.state.size()
	return s.opts.QuotaBytes < 0 || inUse+int64(len(cmd))*(kvOverhead+1) < s.opts.QuotaBytes
}

// space refuses a request that grows the data when the quota leaves no room, or when this member leads and its disk has none.
func (s *Store) space(r *pb.InternalRaftRequest) error {
	if !s.room(r) {
		s.raiseNoSpace()
		return etcderrors.ErrNoSpace
	}
	if n := s.node.Load(); n != nil && s.disk.room.tight() && cost(r) > 0 && n.started.Load() && n.isLeader() {
		return etcderrors.ErrNoSpace
	}
	return nil
}
