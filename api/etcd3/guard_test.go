package etcd3_test

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"quorate/api/etcd3"
	"quorate/internal/solostore"
)

func wantStatus(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || s.Message() != text {
		t.Errorf("got %v %q, want %v %q", s.Code(), s.Message(), code, text)
	}
}

// Who asks for a leader is refused while there is none.
func TestRequireLeaderRefuses(t *testing.T) {
	f := start(t)
	f.store.SetLeader(0)
	ctx := clientv3.WithRequireLeader(f.ctx())
	_, err := f.kv().Range(ctx, &pb.RangeRequest{Key: key("k"), Serializable: true})
	wantStatus(t, err, codes.Unavailable, "etcdserver: no leader")
	stream, err := pb.NewWatchClient(f.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unavailable, "etcdserver: no leader")

	if _, err := f.kv().Range(f.ctx(), &pb.RangeRequest{Key: key("k"), Serializable: true}); err != nil {
		t.Errorf("a serializable read needs no leader unless it says so: %v", err)
	}
}

// A stream that asked for a leader ends when there has been none for long; one that did not lives on.
func TestLossOfLeaderEndsStreams(t *testing.T) {
	f := start(t)
	demanding, err := pb.NewWatchClient(f.conn).Watch(clientv3.WithRequireLeader(f.ctx()))
	if err != nil {
		t.Fatal(err)
	}
	d := watching{t, demanding}
	d.create(&pb.WatchCreateRequest{Key: key("k")})
	patient := f.watch()
	id := patient.create(&pb.WatchCreateRequest{Key: key("k")})

	f.store.SetLeader(0)
	_, err = demanding.Recv()
	wantStatus(t, err, codes.Unavailable, "etcdserver: no leader")

	f.store.SetLeader(solostore.MemberID)
	f.put("k", "v")
	patient.events(id, 1)
}

// Streams end with a code that sends clients to another host when the server stops.
func TestStopEndsStreams(t *testing.T) {
	f := start(t)
	w := f.watch()
	w.create(&pb.WatchCreateRequest{Key: key("k")})
	alive, err := f.leases().LeaseKeepAlive(f.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := alive.Send(&pb.LeaseKeepAliveRequest{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Recv(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = w.Recv()
	wantStatus(t, err, codes.Unavailable, "etcdserver: server stopped")
	_, err = alive.Recv()
	wantStatus(t, err, codes.Unavailable, "etcdserver: server stopped")
}

// So do they when the store has failed under a server that goes on.
func TestStoreEndEndsStreams(t *testing.T) {
	f := start(t)
	w := f.watch()
	w.create(&pb.WatchCreateRequest{Key: key("k")})
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := w.Recv()
	wantStatus(t, err, codes.Unavailable, "etcdserver: server stopped")
}

func TestClientVersionMustBeText(t *testing.T) {
	f := start(t)
	ctx := metadata.AppendToOutgoingContext(f.ctx(), "client-api-version", "\xff")
	_, err := f.kv().Range(ctx, &pb.RangeRequest{Key: key("k")})
	// gRPC itself may refuse the header before the front end sees it; served it must not be.
	if err == nil {
		t.Error("served")
	}
}

// asLearner is a store without a vote.
type asLearner struct{ etcd3.Store }

func (asLearner) IsLearner() bool { return true }

// A learner serves its status and what may be stale. Whoever asks for more is told so by the error by which clients of its version turn to another
// member.
func TestLearnerRefuses(t *testing.T) {
	f := start(t, func(o *etcd3.Options) { o.Store = asLearner{o.Store} })
	for version, want := range map[string]codes.Code{
		"": codes.Unavailable, "3.4": codes.Unavailable, "3.5": codes.Unavailable, "3.6": codes.FailedPrecondition, "4.0": codes.FailedPrecondition, "x": codes.Unavailable,
	} {
		ctx := f.ctx()
		if version != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "client-api-version", version)
		}
		_, err := f.kv().Put(ctx, &pb.PutRequest{Key: key("k")})
		wantStatus(t, err, want, "etcdserver: rpc not supported for learner")
		stream, err := pb.NewWatchClient(f.conn).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantStatus(t, err, want, "etcdserver: rpc not supported for learner")
	}
	if _, err := f.kv().Range(f.ctx(), &pb.RangeRequest{Key: key("k"), Serializable: true}); err != nil {
		t.Error(err)
	}
	if _, err := f.maintenance().Status(f.ctx(), &pb.StatusRequest{}); err != nil {
		t.Error(err)
	}
}
