package raftstore

import (
	"bytes"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// FuzzDecode feeds every decoder of the peer port. None may panic or allocate by what a length says, and what decodes must
// come out the same when it is encoded and decoded again.
func FuzzDecode(f *testing.F) {
	f.Add(confirmRequest{Term: 7, Bounds: []leaseBound{{ID: -1, Grant: 2, Remaining: time.Second}}}.encode())
	f.Add(leaseQuery{Term: 7, Index: 9}.encode())
	f.Add(founding{ClusterID: 1, Members: []Member{{ID: 3, Name: "n", PeerAddr: "a:1", ClientURLs: []string{"x"}}}}.encode()[1:])
	f.Add(expiry{Lease: 5, Grant: 6, Term: 7}.encode()[1:])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeConfirm(b); err == nil {
			again, err := decodeConfirm(m.encode())
			if err != nil || again.Term != m.Term || len(again.Bounds) != len(m.Bounds) {
				t.Errorf("%+v came out as %+v, %v", m, again, err)
			}
		}
		if q, err := decodeLeaseQuery(b); err == nil {
			if again, err := decodeLeaseQuery(q.encode()); err != nil || again != q {
				t.Errorf("%+v came out as %+v, %v", q, again, err)
			}
		}
		if m, err := decodeFounding(b); err == nil {
			if again, err := decodeFounding(m.encode()[1:]); err != nil || len(again.Members) != len(m.Members) {
				t.Errorf("%+v came out as %+v, %v", m, again, err)
			}
		}
		if st, err := decodeStanding(b); err == nil {
			if again, err := decodeStanding(st.encode()); err != nil || again != st {
				t.Errorf("%+v became %+v, %v", st, again, err)
			}
		}
		if x, err := decodeExpiry(b); err == nil {
			if again, err := decodeExpiry(x.encode()[1:]); err != nil || again != x {
				t.Errorf("%+v came out as %+v, %v", x, again, err)
			}
		}
		decodeApplied(b)
		readGreeting(bytes.NewReader(b))
		readFrame(bytes.NewReader(b))
		decodeJSON[joinRequest](b)
	})
}

// A command that cannot be read ends the replica with an error, never by a panic and never by being skipped.
func FuzzApply(f *testing.F) {
	put, err := encodeEtcd(&pb.InternalRaftRequest{Put: &pb.PutRequest{Key: []byte("k")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(put)
	f.Add(expiry{Lease: 5}.encode())
	f.Add(founding{ClusterID: 1}.encode())
	poison, err := encodeEtcd(&pb.InternalRaftRequest{Txn: &pb.TxnRequest{
		Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}},
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), SortOrder: 1, SortTarget: 77}}},
		},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(poison)
	empty, err := encodeEtcd(&pb.InternalRaftRequest{Put: &pb.PutRequest{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	f.Add(append([]byte{byte(kindV2Users)}, `{"op":"put user","user":{"user":"root","password":"x","grant":["a"]}}`...))
	f.Add([]byte{99})
	f.Add([]byte{})
	s, err := newState(f.TempDir(), newZap(testLogger(f), func(string) {}), func() time.Duration { return 0 }, AuthOptions{}, hooks{})
	if err != nil {
		f.Fatal(err)
	}
	index := uint64(0)
	f.Fuzz(func(t *testing.T, cmd []byte) {
		index++
		returned := false
		var wg sync.WaitGroup
		wg.Go(func() {
			s.apply(entry{Index: index, Term: 1, Data: cmd})
			returned = true
		})
		wg.Wait()
		if !returned {
			t.Fatal("an entry that no replica could ever apply")
		}
	})
}
