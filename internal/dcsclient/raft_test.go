package dcsclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/api/etcd3"
	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/raftstore"
	"quorate/raftstore/dcs"
)

// raftHost is a member of a real cluster with its front end.
type raftHost struct {
	store  *raftstore.Store
	server *etcd3.Server
	addr   string
	once   sync.Once
}

func (h *raftHost) stop(t *testing.T) {
	t.Helper()
	h.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.server.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := h.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func startCluster(t *testing.T, n int) []*raftHost {
	t.Helper()
	peers := make([]net.Listener, n)
	var found []raftstore.Peer
	for i := range n {
		peers[i] = listen(t)
		found = append(found, raftstore.Peer{PeerAddr: peers[i].Addr().String()})
	}
	hosts := make([]*raftHost, n)
	for i := range n {
		store, err := raftstore.Open(raftstore.Options{
			Dir: t.TempDir(), Name: fmt.Sprintf("n%d", i), Listener: peers[i], MachineID: fmt.Sprintf("machine-%d", i), Expect: n,
			Peers: func() []raftstore.Peer { return found }, ElectionTimeout: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		server, err := etcd3.New(etcd3.Options{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		clients := listen(t)
		go server.Serve(clients, nil)
		hosts[i] = &raftHost{store: store, server: server, addr: clients.Addr().String()}
		t.Cleanup(func() { hosts[i].stop(t) })
	}
	for _, h := range hosts {
		eventually(t, "ready", func() bool { return h.store.Health() == nil })
	}
	return hosts
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func leaderOf(t *testing.T, hosts []*raftHost) int {
	t.Helper()
	leader := -1
	eventually(t, "a leader", func() bool {
		for i, h := range hosts {
			if h.store.IsLeader() {
				leader = i
			}
		}
		return leader >= 0
	})
	return leader
}

// The operations of a single store, on a real cluster: from a host without the store and from one with it.
func TestOperationsOnCluster(t *testing.T) {
	hosts := startCluster(t, 3)
	remote := func(o *dcsclient.Options) {
		for _, h := range hosts {
			o.Endpoints = append(o.Endpoints, h.addr)
		}
	}
	clusterOperations(t, newClient(t, remote))
	follower := hosts[(leaderOf(t, hosts)+1)%3]
	clusterOperations(t, newClient(t, func(o *dcsclient.Options) { o.Local = follower.server.Conn() }))
}

func clusterOperations(t *testing.T, c dcsclient.Client) {
	t.Helper()
	ctx := testContext(t)
	lease, err := c.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	before := boottime.Now()
	ttl, sent, err := c.KeepAlive(ctx, lease)
	if err != nil || ttl != time.Minute || sent.Before(before) {
		t.Errorf("keep-alive: %v, %v, %v", ttl, sent, err)
	}
	snap, err := c.Load(ctx, "/x/")
	if err != nil {
		t.Fatal(err)
	}
	updates := c.Watch(ctx, "/x/", snap.Revision+1)
	won, err := c.Commit(ctx, dcs.Txn{If: []dcs.Compare{dcs.Absent("/x/leader")}, Then: []dcs.Op{dcs.Put("/x/leader", "n1", lease)}})
	if err != nil || !won.Succeeded || won.ClusterID != snap.ClusterID {
		t.Fatalf("acquire: %+v, %v", won, err)
	}
	if u := <-updates; u.Err != nil || len(u.Events) != 1 || u.Events[0].KV.Lease != lease || u.Revision != won.Revision {
		t.Errorf("update: %+v", u)
	}
	if err := c.Revoke(ctx, lease); err != nil {
		t.Error(err)
	}
	if u := <-updates; u.Err != nil || len(u.Events) != 1 || u.Events[0].Type != dcsclient.Delete {
		t.Errorf("update after the revoke: %+v", u)
	}
	if _, _, err := c.KeepAlive(ctx, lease); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
		t.Errorf("keep-alive after the revoke: %v", err)
	}
}

// When the member dies that led, a holder goes on renewing through the others and its key never goes; its commits fail or
// succeed but never lie.
func TestLeaderDies(t *testing.T) {
	hosts := startCluster(t, 3)
	c := newClient(t, func(o *dcsclient.Options) {
		o.RequestTimeout = 2 * time.Second
		for _, h := range hosts {
			o.Endpoints = append(o.Endpoints, h.addr)
		}
	})
	ctx := testContext(t)
	const ttl = 15 * time.Second
	lease, err := c.Grant(ctx, ttl)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("/x/leader", "n1", lease), dcs.Put("/x/n", "0", 0)}}); err != nil {
		t.Fatal(err)
	}
	hosts[leaderOf(t, hosts)].stop(t)
	n := 0           // what /x/n certainly was
	unknown := false // a commit that would make it n+1 may be applied yet
	for n < 10 {
		if _, _, err := c.KeepAlive(ctx, lease); errors.Is(err, dcsclient.ErrLeaseNotFound) {
			t.Fatal(err)
		}
		step := dcs.Txn{If: []dcs.Compare{dcs.Holds("/x/n", fmt.Sprint(n))}, Then: []dcs.Op{dcs.Put("/x/n", fmt.Sprint(n+1), 0)}}
		r, err := c.Commit(ctx, step)
		switch {
		case err == nil && (r.Succeeded || unknown && readN(t, c) == n+1):
			n, unknown = n+1, false
		case err == nil:
			t.Fatalf("/x/n is not %d", n)
		case errors.Is(err, dcsclient.ErrUnknownOutcome):
			unknown = true
		case !errors.Is(err, dcsclient.ErrUnavailable):
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Fatal("no leader was found")
		}
	}
	if snap, err := c.Load(ctx, "/x/leader"); err != nil || len(snap.KVs) != 1 {
		t.Errorf("the leader key: %+v, %v", snap, err)
	}
}

// readN reads until the store answers.
func readN(t *testing.T, c dcsclient.Client) (n int) {
	t.Helper()
	eventually(t, "read", func() bool {
		snap, err := c.Load(testContext(t), "/x/n")
		if err != nil {
			return false
		}
		_, err = fmt.Sscan(string(snap.KVs[0].Value), &n)
		return err == nil
	})
	return n
}

// Where the store keeps users, the client fetches a token, and another when the first is no longer good.
func TestUsers(t *testing.T) {
	hosts := startCluster(t, 1)
	store, ctx := hosts[0].store, testContext(t)
	login := func(user, password string) *dcsclient.Etcd {
		return newClient(t, func(o *dcsclient.Options) {
			o.Endpoints, o.Username, o.Password = []string{hosts[0].addr}, user, password
		})
	}
	early := login("root", "secret") // before there are users
	put(t, early, "/x/early", "v")
	for _, step := range []func() error{
		func() error {
			_, err := store.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "secret"})
			return err
		},
		func() error { _, err := store.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"}); return err },
		func() error {
			_, err := store.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
			return err
		},
		func() error {
			_, err := store.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "nobody", Password: "secret"})
			return err
		},
		func() error { _, err := store.AuthEnable(ctx, &pb.AuthEnableRequest{}); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, early, "/x/later", "v")
	root := login("root", "secret")
	put(t, root, "/x/root", "v")
	lease, err := root.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := root.KeepAlive(ctx, lease); err != nil {
		t.Error(err)
	}
	updates := root.Watch(ctx, "/x/", 0)
	if _, err := store.UserChangePassword(store.WithRoot(ctx), &pb.AuthUserChangePasswordRequest{Name: "nobody", Password: "other"}); err != nil {
		t.Fatal(err)
	}
	put(t, root, "/x/again", "v") // the token is of an older revision of the users
	if u := <-updates; u.Err != nil {
		t.Errorf("watch: %v", u.Err)
	}
	for name, c := range map[string]*dcsclient.Etcd{
		"wrong password": login("root", "wrong"), "no rights": login("nobody", "other"), "no user": login("", ""),
	} {
		if _, err := c.Load(ctx, "/x/"); !errors.Is(err, dcsclient.ErrPermission) {
			t.Errorf("%s: Load: %v", name, err)
		}
		if _, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("/x/k", "v", 0)}}); !errors.Is(err, dcsclient.ErrPermission) {
			t.Errorf("%s: Commit: %v", name, err)
		}
		if u := <-c.Watch(ctx, "/x/", 0); !errors.Is(u.Err, dcsclient.ErrPermission) {
			t.Errorf("%s: Watch: %+v", name, u)
		}
	}
}
