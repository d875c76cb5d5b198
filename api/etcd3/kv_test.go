package etcd3_test

import (
	"bytes"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"quorate/internal/solostore"
)

func key(k string) []byte { return []byte(k) }

func putOp(k string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key(k)}}}
}

func delOp(k, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: key(k), RangeEnd: key(end)}}}
}

func getOp(k string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key(k)}}}
}

func txnOp(success, failure []*pb.RequestOp) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: success, Failure: failure}}}
}

func many(n int) []*pb.RequestOp {
	ops := make([]*pb.RequestOp, n)
	for i := range ops {
		ops[i] = getOp("k")
	}
	return ops
}

// The texts and codes of etcd's validation; clients match them.
func TestRefusals(t *testing.T) {
	f := start(t)
	txn := func(success ...*pb.RequestOp) func() error {
		return func() error {
			_, err := f.kv().Txn(f.ctx(), &pb.TxnRequest{Success: success})
			return err
		}
	}
	rng := func(r *pb.RangeRequest) func() error {
		return func() error { _, err := f.kv().Range(f.ctx(), r); return err }
	}
	put := func(r *pb.PutRequest) func() error {
		return func() error { _, err := f.kv().Put(f.ctx(), r); return err }
	}
	for _, c := range []struct {
		name string
		call func() error
		code codes.Code
		text string
	}{
		{"range without key", rng(&pb.RangeRequest{}), codes.InvalidArgument, "etcdserver: key is not provided"},
		{"unknown sort order", rng(&pb.RangeRequest{Key: key("k"), SortOrder: 9}), codes.InvalidArgument, "etcdserver: invalid sort option"},
		{"unknown sort target", rng(&pb.RangeRequest{Key: key("k"), SortTarget: 9}), codes.InvalidArgument, "etcdserver: invalid sort option"},
		{"future revision", rng(&pb.RangeRequest{Key: key("k"), Revision: 99}), codes.OutOfRange, "etcdserver: mvcc: required revision is a future revision"},
		{"put without key", put(&pb.PutRequest{}), codes.InvalidArgument, "etcdserver: key is not provided"},
		{"ignore value, with value", put(&pb.PutRequest{Key: key("k"), Value: key("v"), IgnoreValue: true}), codes.InvalidArgument, "etcdserver: value is provided"},
		{"ignore value, no key", put(&pb.PutRequest{Key: key("none"), IgnoreValue: true}), codes.InvalidArgument, "etcdserver: key not found"},
		{"ignore lease, with lease", put(&pb.PutRequest{Key: key("k"), Lease: 1, IgnoreLease: true}), codes.InvalidArgument, "etcdserver: lease is provided"},
		{"put under no lease", put(&pb.PutRequest{Key: key("k"), Lease: 4711}), codes.NotFound, "etcdserver: requested lease not found"},
		{"put too large", put(&pb.PutRequest{Key: key("k"), Value: bytes.Repeat(key("v"), 1600*1024)}), codes.InvalidArgument, "etcdserver: request is too large"},
		{"delete without key", func() error {
			_, err := f.kv().DeleteRange(f.ctx(), &pb.DeleteRangeRequest{})
			return err
		}, codes.InvalidArgument, "etcdserver: key is not provided"},
		{"compare without key", func() error {
			_, err := f.kv().Txn(f.ctx(), &pb.TxnRequest{Compare: []*pb.Compare{{}}})
			return err
		}, codes.InvalidArgument, "etcdserver: key is not provided"},
		{"empty operation", txn(&pb.RequestOp{}), codes.InvalidArgument, "etcdserver: key not found"},
		{"129 operations", txn(many(129)...), codes.InvalidArgument, "etcdserver: too many operations in txn request"},
		{"nested budget spent", txn(append(many(127), txnOp(many(1), nil))...), codes.InvalidArgument, "etcdserver: too many operations in txn request"},
		{"two puts of one key", txn(putOp("k"), putOp("k")), codes.InvalidArgument, "etcdserver: duplicate key given in txn request"},
		{"put in a deleted range", txn(delOp("a", "z"), putOp("k")), codes.InvalidArgument, "etcdserver: duplicate key given in txn request"},
		{"compaction of the future", func() error {
			_, err := f.kv().Compact(f.ctx(), &pb.CompactionRequest{Revision: 99})
			return err
		}, codes.OutOfRange, "etcdserver: mvcc: required revision is a future revision"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call()
			if got := status.Convert(err); got.Code() != c.code || got.Message() != c.text {
				t.Errorf("got %v %q, want %v %q", got.Code(), got.Message(), c.code, c.text)
			}
		})
	}
	if _, err := f.kv().Txn(f.ctx(), &pb.TxnRequest{Success: many(128)}); err != nil {
		t.Errorf("128 operations are allowed: %v", err)
	}
}

func TestCompactedRevision(t *testing.T) {
	f := start(t)
	f.put("k", "1")
	rev := f.put("k", "2")
	f.put("k", "3")
	if _, err := f.kv().Compact(f.ctx(), &pb.CompactionRequest{Revision: rev, Physical: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.kv().Range(f.ctx(), &pb.RangeRequest{Key: key("k"), Revision: rev}); err != nil {
		t.Errorf("the compacted revision itself is readable: %v", err)
	}
	_, err := f.kv().Range(f.ctx(), &pb.RangeRequest{Key: key("k"), Revision: rev - 1})
	if s := status.Convert(err); s.Code() != codes.OutOfRange || s.Message() != "etcdserver: mvcc: required revision has been compacted" {
		t.Errorf("below it: %v", err)
	}
}

// Every answer says who gave it, in which term and at which revision.
func TestHeaders(t *testing.T) {
	f := start(t)
	rev := f.put("k", "1")
	f.put("other", "1")
	check := func(name string, h *pb.ResponseHeader, rev int64) {
		t.Helper()
		if h.ClusterId != solostore.ClusterID || h.MemberId != solostore.MemberID || h.RaftTerm == 0 || h.Revision != rev {
			t.Errorf("%s: header %v, want revision %d", name, h, rev)
		}
	}
	got, err := f.kv().Range(f.ctx(), &pb.RangeRequest{Key: key("k")})
	if err != nil {
		t.Fatal(err)
	}
	check("range", got.Header, rev+1)
	del, err := f.kv().DeleteRange(f.ctx(), &pb.DeleteRangeRequest{Key: key("none")})
	if err != nil {
		t.Fatal(err)
	}
	check("delete of nothing", del.Header, rev+1)
	txn, err := f.kv().Txn(f.ctx(), &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a"), putOp("b")}})
	if err != nil {
		t.Fatal(err)
	}
	check("txn", txn.Header, rev+2)
	members, err := pb.NewClusterClient(f.conn).MemberList(f.ctx(), &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		t.Fatal(err)
	}
	check("member list", members.Header, rev+2)
}
