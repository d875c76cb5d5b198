package raftstore

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"

	"quorate/raftstore/v2keys"
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
	ttl := time.Second
	if _, err := c.store(lead).V2Change(t.Context(), v2keys.Request{Method: v2keys.Put, Path: "/t", TTL: &ttl}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the key to expire", func() bool {
		_, err := c.store(follower).V2Get(t.Context(), "/t", false, false, true)
		return errors.As(err, &refused) && refused.ErrorCode == v2error.EcodeKeyNotFound
	})
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
	long := time.Hour
	change(v2keys.Request{Method: v2keys.Put, Path: "/a", Value: "1", TTL: &long})
	c.truncate(0)
	change(v2keys.Request{Method: v2keys.Put, Path: "/b", Value: "2"})
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
	for i := range 2 {
		for path, want := range map[string]string{"/a": "1", "/b": "2"} {
			got, err := c.store(i).V2Get(t.Context(), path, false, false, true)
			if err != nil || *got.Node.Value != want {
				t.Errorf("member %d reads %s as %+v, %v", i, path, got, err)
			}
		}
		got, err := c.store(i).V2Get(t.Context(), "/a", false, false, true)
		if left := got.Node.Expiration.Sub(c.store(i).V2Now()); err != nil || left > time.Hour || left < time.Hour-time.Minute {
			t.Errorf("member %d: /a has %s left, %v", i, left, err)
		}
	}
}
