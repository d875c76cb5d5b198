package etcd3_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"

	"quorate/internal/solostore"
)

func (f *frontEnd) maintenance() pb.MaintenanceClient { return pb.NewMaintenanceClient(f.conn) }

// The snapshot is a whole number of bbolt pages and their sha256.
func TestSnapshot(t *testing.T) {
	f := start(t)
	for range 100 {
		f.put("k", string(bytes.Repeat([]byte("v"), 1000)))
	}
	stream, err := f.maintenance().Snapshot(f.ctx(), &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	left := uint64(1)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, part.Blob...)
		left = part.RemainingBytes
	}
	body, sum := file[:len(file)-sha256.Size], file[len(file)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		t.Error("the trailer is not the sum of what came before")
	}
	if left != 0 || len(body) == 0 || len(body)%512 != 0 {
		t.Errorf("%d bytes, %d announced as remaining at the end", len(body), left)
	}
}

func TestMoveLeader(t *testing.T) {
	f := start(t)
	if _, err := f.maintenance().MoveLeader(f.ctx(), &pb.MoveLeaderRequest{TargetID: solostore.MemberID}); err != nil {
		t.Errorf("on the leader: %v", err)
	}
	_, err := f.maintenance().MoveLeader(f.ctx(), &pb.MoveLeaderRequest{TargetID: 1})
	wantStatus(t, err, codes.FailedPrecondition, "etcdserver: bad leader transferee")
	f.store.SetLeader(1)
	_, err = f.maintenance().MoveLeader(f.ctx(), &pb.MoveLeaderRequest{TargetID: 1})
	wantStatus(t, err, codes.FailedPrecondition, "etcdserver: not leader")
}

func TestStatusWithoutLeader(t *testing.T) {
	f := start(t)
	f.store.SetLeader(0)
	r, err := f.maintenance().Status(f.ctx(), &pb.StatusRequest{})
	if err != nil || len(r.Errors) != 1 || r.Errors[0] != "etcdserver: no leader" {
		t.Errorf("%v, %v", r, err)
	}
}

func TestDowngradeRefused(t *testing.T) {
	f := start(t)
	_, err := f.maintenance().Downgrade(f.ctx(), &pb.DowngradeRequest{Version: "3.4"})
	wantStatus(t, err, codes.InvalidArgument, "etcdserver: invalid downgrade target version")
	_, err = f.maintenance().Downgrade(f.ctx(), &pb.DowngradeRequest{Version: "3"})
	wantStatus(t, err, codes.InvalidArgument, "etcdserver: wrong downgrade target version format")
	_, err = f.maintenance().Downgrade(f.ctx(), &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL})
	wantStatus(t, err, codes.FailedPrecondition, "etcdserver: no inflight downgrade job")
}

func TestMemberURLs(t *testing.T) {
	f := start(t)
	members := pb.NewClusterClient(f.conn)
	for _, urls := range [][]string{nil, {"10.0.0.1:2380"}, {"http://10.0.0.1"}, {"http://10.0.0.1:2380/path"}, {"unix://"}, {"ftp://10.0.0.1:2380"}} {
		_, err := members.MemberAdd(f.ctx(), &pb.MemberAddRequest{PeerURLs: urls})
		wantStatus(t, err, codes.InvalidArgument, "etcdserver: given member URLs are invalid")
		_, err = members.MemberUpdate(f.ctx(), &pb.MemberUpdateRequest{ID: solostore.MemberID, PeerURLs: urls})
		wantStatus(t, err, codes.InvalidArgument, "etcdserver: given member URLs are invalid")
	}
	_, err := members.MemberRemove(f.ctx(), &pb.MemberRemoveRequest{ID: 9})
	wantStatus(t, err, codes.NotFound, "etcdserver: member not found")
	_, err = members.MemberPromote(f.ctx(), &pb.MemberPromoteRequest{ID: solostore.MemberID})
	wantStatus(t, err, codes.FailedPrecondition, "etcdserver: can only promote a learner member")
}
