package etcd3_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"quorate/api/etcd3"
	"quorate/internal/raftlab"
	"quorate/raftstore"
)

var (
	_ etcd3.Store      = (*raftstore.Store)(nil)
	_ etcd3.AuthStore  = (*raftstore.Store)(nil)
	_ etcd3.Authorizer = (*raftstore.Store)(nil)
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// asFrontEnd gives a member the helpers of the other tests.
func asFrontEnd(t *testing.T, m *raftlab.Member) *frontEnd {
	t.Helper()
	conn, err := grpc.NewClient(m.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &frontEnd{TB: t, server: m.V3, addr: m.Addr, url: m.URL(""), conn: conn}
}

// Any member answers, and what one has acknowledged another shows.
func TestClusterServesEverywhere(t *testing.T) {
	members := raftlab.Start(t, 3)
	for i, m := range members {
		f := asFrontEnd(t, m)
		rev := f.put("k", fmt.Sprint(i))
		next := asFrontEnd(t, members[(i+1)%3])
		got, err := next.kv().Range(next.ctx(), &pb.RangeRequest{Key: key("k")})
		if err != nil || string(got.Kvs[0].Value) != fmt.Sprint(i) || got.Header.Revision != rev {
			t.Errorf("written by %d, read by the next: %v, %v", i, got, err)
		}
		id := f.grant(60)
		stream, err := next.leases().LeaseKeepAlive(next.ctx())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
		if alive, err := stream.Recv(); err != nil || alive.TTL != 60 {
			t.Errorf("lease of %d renewed by the next: %v, %v", i, alive, err)
		}
	}
	f := asFrontEnd(t, members[0])
	f.addr = strings.Join(raftlab.Addrs(members), ",")
	for args, want := range map[string]string{
		"endpoint health --cluster": "is healthy",
		"member list":               "started, n1, http://",
		"endpoint status":           "3.5.33",
		"endpoint hashkv":           members[2].Addr,
	} {
		if got := f.etcdctl(strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("etcdctl %s: %s", args, got)
		}
	}
}

// A watch and a lease of etcd's own client survive the death of the member that led and served them.
func TestClusterSurvivesItsLeader(t *testing.T) {
	members := raftlab.Start(t, 3)
	leader := raftlab.Leader(t, members)
	order := append([]*raftlab.Member{members[leader]}, append(append([]*raftlab.Member{}, members[:leader]...), members[leader+1:]...)...)
	c, err := clientv3.New(clientv3.Config{Endpoints: raftlab.Addrs(order), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	l, err := c.Grant(ctx, 20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.KeepAlive(ctx, l.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, "held", "v", clientv3.WithLease(l.ID)); err != nil {
		t.Fatal(err)
	}
	watch := func(from int64) clientv3.WatchChan {
		return c.Watch(clientv3.WithRequireLeader(ctx), "k", clientv3.WithRev(from))
	}
	events := watch(1)
	const before, after = 20, 20
	write := func(n int) {
		for i := 0; i < n; {
			// A put is repeated until it is acknowledged; what is of unknown outcome may be there twice.
			if _, err := c.Put(ctx, "k", "v"); err == nil {
				i++
			} else if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	write(before)
	order[0].Stop()
	write(after)
	got, last := 0, int64(0)
	for got < before+after {
		r, open := <-events
		if !open {
			t.Fatalf("the watch ended after %d events: %v", got, ctx.Err())
		}
		if err := r.Err(); errors.Is(err, rpctypes.ErrNoLeader) {
			// A watch that requires a leader may end while there is none: what follows is asked for again.
			events = watch(last + 1)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Events {
			if e.Kv.ModRevision <= last || e.Kv.Version != int64(got+1) {
				t.Fatalf("event %d has version %d and revision %d after %d", got, e.Kv.Version, e.Kv.ModRevision, last)
			}
			got, last = got+1, e.Kv.ModRevision
		}
	}
	if r, err := c.Get(ctx, "held"); err != nil || len(r.Kvs) != 1 {
		t.Errorf("the leased key: %v, %v", r, err)
	}
}

// Users, roles and tokens, by etcdctl against several members.
func TestClusterAuth(t *testing.T) {
	members := raftlab.Start(t, 3)
	f := asFrontEnd(t, members[0])
	for _, args := range []string{
		"user add root:secret", "user add app:secret", "role add app", "role grant-permission --prefix app readwrite /app/",
		"user grant-role app app", "user grant-role root root", "auth enable",
	} {
		f.etcdctl(strings.Fields(args)...)
	}
	f.addr = members[1].Addr
	f.etcdctl("--user", "app:secret", "put", "/app/k", "v")
	if got := f.etcdctl("--user", "root:secret", "get", "/app/k"); !strings.Contains(got, "v") {
		t.Errorf("root reads %q", got)
	}
	other := asFrontEnd(t, members[2])
	_, err := other.kv().Range(other.ctx(), &pb.RangeRequest{Key: key("/app/k")})
	wantStatus(t, err, 3, "etcdserver: user name is empty")
	w := other.watch()
	w.request(&pb.WatchCreateRequest{Key: key("/app/k")})
	if r := w.next(); !r.Canceled || !strings.HasSuffix(r.CancelReason, "user name is empty") {
		t.Errorf("a watch by nobody: %v", r)
	}
	_, err = other.maintenance().Defragment(other.ctx(), &pb.DefragmentRequest{})
	wantStatus(t, err, 3, "etcdserver: user name is empty")
	testNobodyAndApp(t, f, other)
	code, body := other.post("/v3/auth/authenticate", `{"name":"app","password":"wrong"}`)
	if code != 400 || !strings.Contains(body, "etcdserver: authentication failed, invalid user ID or password") {
		t.Errorf("a wrong password: %d %s", code, body)
	}
	// The node itself is not locked out of its own store, and its health is not unwell.
	inside := pb.NewKVClient(members[2].V3.Conn())
	if _, err := inside.Range(other.ctx(), &pb.RangeRequest{Key: key("/app/k")}); err != nil {
		t.Errorf("in process: %v", err)
	}
	if code, body := other.get("/health"); code != 200 {
		t.Errorf("health: %d %s", code, body)
	}
	f.addr = members[2].Addr
	f.etcdctl("--user", "root:secret", "auth", "disable")
}

// testNobodyAndApp asks for what no key guards: nobody gets it but the list of members, and a user learns of, and renews, no lease with keys of others.
func testNobodyAndApp(t *testing.T, f, other *frontEnd) {
	t.Helper()
	const nobody = "etcdserver: user name is empty"
	held := strings.Fields(f.etcdctl("--user", "root:secret", "lease", "grant", "100"))[1]
	f.etcdctl("--user", "root:secret", "put", "--lease="+held, "/root/k", "v")
	id, err := strconv.ParseInt(held, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	ctx := other.ctx()
	_, err = other.leases().LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 10})
	wantStatus(t, err, 3, nobody)
	_, err = other.leases().LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: id})
	wantStatus(t, err, 3, nobody)
	_, err = other.leases().LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
	wantStatus(t, err, 3, nobody)
	_, err = other.leases().LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	wantStatus(t, err, 3, nobody)
	_, err = other.maintenance().Status(ctx, &pb.StatusRequest{})
	wantStatus(t, err, 3, nobody)
	_, err = other.maintenance().Alarm(ctx, &pb.AlarmRequest{})
	wantStatus(t, err, 3, nobody)
	if r, err := pb.NewClusterClient(other.conn).MemberList(ctx, &pb.MemberListRequest{}); err != nil || len(r.Members) != 3 {
		t.Errorf("the list of members: %v, %v", r, err)
	}

	for _, line := range []string{"lease timetolive --keys " + held, "lease list", "lease keep-alive --once " + held, "lease revoke " + held, "compaction 2"} {
		out := f.etcdctlFails(append([]string{"--user", "app:secret"}, strings.Fields(line)...)...)
		if !strings.Contains(out, "permission denied") {
			t.Errorf("%s as app: %s", line, out)
		}
	}
	own := strings.Fields(f.etcdctl("--user", "app:secret", "lease", "grant", "100"))[1]
	f.etcdctl("--user", "app:secret", "put", "--lease="+own, "/app/held", "v")
	f.etcdctl("--user", "app:secret", "lease", "keep-alive", "--once", own)
	f.etcdctl("--user", "app:secret", "lease", "timetolive", "--keys", own)
	f.etcdctl("--user", "app:secret", "endpoint", "status")
	f.etcdctl("--user", "root:secret", "lease", "revoke", held)
}
