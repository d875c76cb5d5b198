package dcsclient_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/internal/raftlab"
	"quorate/raftstore/dcs"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The operations of a single store, on a real cluster: from a host without the store and from one with it.
func TestOperationsOnCluster(t *testing.T) {
	hosts := raftlab.Start(t, 3)
	remote := func(o *dcsclient.Options) { o.Endpoints = raftlab.Addrs(hosts) }
	clusterOperations(t, newClient(t, remote))
	follower := hosts[(raftlab.Leader(t, hosts)+1)%3]
	clusterOperations(t, newClient(t, func(o *dcsclient.Options) { o.Local = follower.V3.Conn() }))
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
	hosts := raftlab.Start(t, 3)
	c := newClient(t, func(o *dcsclient.Options) {
		o.RequestTimeout = 2 * time.Second
		o.Endpoints = raftlab.Addrs(hosts)
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
	hosts[raftlab.Leader(t, hosts)].Stop()
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
	raftlab.Eventually(t, "read", func() bool {
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
	hosts := raftlab.Start(t, 1)
	store, ctx := hosts[0].Store, testContext(t)
	login := func(user, password string) *dcsclient.Etcd {
		return newClient(t, func(o *dcsclient.Options) {
			o.Endpoints, o.Username, o.Password = []string{hosts[0].Addr}, user, password
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
