package raftstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"

	"quorate/raftstore/v2keys"
	"quorate/raftstore/v2users"
)

func TestV2Keys(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	lead := c.leader()
	follower := c.others(lead)[0]
	ev, err := c.store(follower).V2Change(t.Context(), v2keys.Request{Method: v2keys.Put, Path: "/a", Value: "1"})
	if err != nil || ev.Action != "set" || ev.Node.ModifiedIndex == 0 {
		t.Fatalf("%+v, %v", ev, err)
	}
	for i := range 3 {
		got, err := c.store(i).V2Get(t.Context(), "/a", false, false, true)
		if err != nil || *got.Node.Value != "1" || got.Node.ModifiedIndex != ev.Node.ModifiedIndex {
			t.Errorf("member %d reads %+v, %v", i, got, err)
		}
	}
	no := false
	_, err = c.store(follower).V2Change(t.Context(), v2keys.Request{Method: v2keys.Put, Path: "/a", PrevExist: &no})
	var refused *v2error.Error
	if !errors.As(err, &refused) || refused.ErrorCode != v2error.EcodeNodeExist {
		t.Errorf("creating it again: %v", err)
	}
	user := &v2users.User{Name: "root", Password: "secret"}
	res, err := c.store(follower).V2ChangeUsers(t.Context(), v2users.Change{Op: v2users.PutUser, User: user})
	if err != nil || !res.Created || user.Password != "secret" {
		t.Fatalf("%+v, %v, from %+v", res, err, user)
	}
	var rule *v2users.Error
	if _, err = c.store(follower).V2ChangeUsers(t.Context(), v2users.Change{Op: v2users.CreateUser, User: user}); !errors.As(err, &rule) || rule.Kind != v2users.Conflict {
		t.Errorf("creating root again: %v", err)
	}
	long := &v2users.User{Name: "long", Password: strings.Repeat("x", 73)}
	if _, err = c.store(follower).V2ChangeUsers(t.Context(), v2users.Change{Op: v2users.PutUser, User: long}); !errors.As(err, &rule) || rule.Kind != v2users.Bad {
		t.Errorf("a password that bcrypt does not take: %v", err)
	}
	wantRoot(t, c.store(follower), c.store(lead))
	ttl := time.Second
	if _, err := c.store(lead).V2Change(t.Context(), v2keys.Request{Method: v2keys.Put, Path: "/t", TTL: &ttl}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the key to expire", func() bool {
		_, err := c.store(follower).V2Get(t.Context(), "/t", false, false, true)
		return errors.As(err, &refused) && refused.ErrorCode == v2error.EcodeKeyNotFound
	})
}

// wantRoot looks for root, with the password secret, of which only the hash is kept.
func wantRoot(t *testing.T, stores ...*Store) {
	t.Helper()
	for i, s := range stores {
		users, err := s.V2Users(t.Context())
		if root, ok := users.User("root"); err != nil || !ok || !root.Is("secret") || root.Is("other") || strings.Contains(root.Password, "secret") {
			t.Errorf("store %d has %+v, %v", i, users, err)
		}
	}
}

func TestV2KeysSurviveSnapshots(t *testing.T) {
	t.Parallel()
	c := started(t, 1, shortLog)
	change := func(r v2keys.Request) {
		t.Helper()
		if _, err := c.store(0).V2Change(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	long, began := time.Hour, time.Now()
	change(v2keys.Request{Method: v2keys.Put, Path: "/a", Value: "1", TTL: &long})
	users := func(u v2users.Change) {
		t.Helper()
		if _, err := c.store(0).V2ChangeUsers(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	users(v2users.Change{Op: v2users.PutUser, User: &v2users.User{Name: "root", Password: "secret"}})
	c.truncate(0)
	change(v2keys.Request{Method: v2keys.Put, Path: "/b", Value: "2"})
	users(v2users.Change{Op: v2users.Enable})
	c.kill(0)
	c.open(0)
	c.waitReady(0)
	joiner := c.add(1)
	for range 2 * minTrailing {
		c.put(0, "k", "v")
	}
	c.truncate(0)
	c.open(joiner)
	c.waitReady(joiner)
	if c.store(joiner).state.gen == 0 {
		t.Fatal("no snapshot was installed, so this test proved nothing")
	}
	wantRoot(t, c.store(0), c.store(joiner))
	for i := range 2 {
		if u, err := c.store(i).V2Users(t.Context()); err != nil || !u.On() {
			t.Errorf("member %d: %+v, %v", i, u, err)
		}
		for path, want := range map[string]string{"/a": "1", "/b": "2"} {
			got, err := c.store(i).V2Get(t.Context(), path, false, false, true)
			if err != nil || *got.Node.Value != want {
				t.Errorf("member %d reads %s as %+v, %v", i, path, got, err)
			}
		}
		got, err := c.store(i).V2Get(t.Context(), "/a", false, false, true)
		if left := got.Node.Expiration.Sub(c.store(i).V2Now()); err != nil || left > time.Hour || left < time.Hour-time.Since(began)-time.Second {
			t.Errorf("member %d: /a has %s left, %v", i, left, err)
		}
	}
}
