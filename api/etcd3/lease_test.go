package etcd3_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"quorate/api/etcd3"
)

func (f *frontEnd) leases() pb.LeaseClient { return pb.NewLeaseClient(f.conn) }

func (f *frontEnd) grant(ttl int64) int64 {
	f.Helper()
	resp, err := f.leases().LeaseGrant(f.ctx(), &pb.LeaseGrantRequest{TTL: ttl})
	if err != nil {
		f.Fatal(err)
	}
	return resp.ID
}

func TestLeaseKeepAlive(t *testing.T) {
	f := start(t)
	id := f.grant(60)
	stream, err := f.leases().LeaseKeepAlive(f.ctx())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id int64) *pb.LeaseKeepAliveResponse {
		t.Helper()
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if r := ask(id); r.ID != id || r.TTL != 60 || r.Header.GetRaftTerm() == 0 {
		t.Errorf("alive: %v", r)
	}
	if r := ask(id + 1); r.ID != id+1 || r.TTL != 0 {
		t.Errorf("a lease that never was: %v", r)
	}
	if _, err := f.leases().LeaseRevoke(f.ctx(), &pb.LeaseRevokeRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	if r := ask(id); r.TTL != 0 {
		t.Errorf("revoked: %v", r)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after closing: %v, want the end of the stream", err)
	}
}

// together is a store that renews nothing before a number of renewals have been asked for.
type together struct {
	etcd3.Store
	missing atomic.Int32
	all     chan struct{}
}

func (s *together) LeaseRenew(ctx context.Context, id int64) (int64, error) {
	if s.missing.Add(-1) == 0 {
		close(s.all)
	}
	select {
	case <-s.all:
		return s.Store.LeaseRenew(ctx, id)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// The keep-alives of one stream go to the store together, and are answered in their order.
func TestLeaseKeepAlivesOfOneStreamGoTogether(t *testing.T) {
	const n = 20
	meet := &together{all: make(chan struct{})}
	meet.missing.Store(n)
	f := start(t, func(o *etcd3.Options) { meet.Store, o.Store = o.Store, meet })
	stream, err := f.leases().LeaseKeepAlive(f.ctx())
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for range n {
		ids = append(ids, f.grant(60))
	}
	for _, id := range ids {
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		if r, err := stream.Recv(); err != nil || r.ID != id || r.TTL != 60 {
			t.Fatalf("answer %d: %v, %v, want one about %d", i, r, err, id)
		}
	}
}

// A keep-alive that fails for want of a leader must not look like a lease that is gone.
func TestLeaseKeepAliveWithoutLeader(t *testing.T) {
	f := start(t)
	id := f.grant(60)
	for _, cause := range []error{etcderrors.ErrNoLeader, lease.ErrNotPrimary, errors.New("raft: something new")} {
		f.store.SetError(cause)
		stream, err := f.leases().LeaseKeepAlive(f.ctx())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
		if resp, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("%v: got %v, %v, want Unavailable", cause, resp, err)
		}
	}
}

func TestLeaseTimeToLive(t *testing.T) {
	f := start(t)
	id := f.grant(60)
	if _, err := f.kv().Put(f.ctx(), &pb.PutRequest{Key: key("k"), Lease: id}); err != nil {
		t.Fatal(err)
	}
	r, err := f.leases().LeaseTimeToLive(f.ctx(), &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
	if err != nil || r.GrantedTTL != 60 || r.TTL < 1 || len(r.Keys) != 1 || string(r.Keys[0]) != "k" {
		t.Errorf("living lease: %v, %v", r, err)
	}
	r, err = f.leases().LeaseTimeToLive(f.ctx(), &pb.LeaseTimeToLiveRequest{ID: id + 1})
	if err != nil || r.TTL != -1 || r.ID != id+1 {
		t.Errorf("unknown lease: %v, %v, want TTL -1", r, err)
	}
	l, err := f.leases().LeaseLeases(f.ctx(), &pb.LeaseLeasesRequest{})
	if err != nil || len(l.Leases) != 1 || l.Leases[0].ID != id {
		t.Errorf("list: %v, %v", l, err)
	}
}

func TestLeaseRefusals(t *testing.T) {
	f := start(t)
	id := f.grant(60)
	_, err := f.leases().LeaseGrant(f.ctx(), &pb.LeaseGrantRequest{ID: id, TTL: 60})
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "etcdserver: lease already exists" {
		t.Errorf("same id: %v", err)
	}
	_, err = f.leases().LeaseGrant(f.ctx(), &pb.LeaseGrantRequest{TTL: 9_000_000_001})
	if s := status.Convert(err); s.Code() != codes.OutOfRange || s.Message() != "etcdserver: too large lease TTL" {
		t.Errorf("too long: %v", err)
	}
	_, err = f.leases().LeaseRevoke(f.ctx(), &pb.LeaseRevokeRequest{ID: id + 1})
	if s := status.Convert(err); s.Code() != codes.NotFound || s.Message() != "etcdserver: requested lease not found" {
		t.Errorf("unknown: %v", err)
	}
}

// The keys of a lease that nobody renews go, and watchers see it.
func TestLeaseExpires(t *testing.T) {
	f := start(t)
	w := f.watch()
	watcher := w.create(&pb.WatchCreateRequest{Key: key("k")})
	if _, err := f.kv().Put(f.ctx(), &pb.PutRequest{Key: key("k"), Lease: f.grant(1)}); err != nil {
		t.Fatal(err)
	}
	if e := w.events(watcher, 2); e[1].Type.String() != "DELETE" {
		t.Errorf("want put and delete, got %v", e)
	}
}
