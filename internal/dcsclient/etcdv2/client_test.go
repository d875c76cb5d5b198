package etcdv2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/internal/dcsclient/etcdv2"
	"quorate/internal/etcdtest"
	"quorate/internal/freeport"
	"quorate/raftstore/dcs"
)

func acquire(name string, lease int64, also ...dcs.Compare) dcs.Txn {
	return dcs.Txn{
		If:   append([]dcs.Compare{dcs.Absent(keys.Leader())}, also...),
		Then: []dcs.Op{dcs.Put(keys.Leader(), name, lease), dcs.Put(keys.Status(), `{"optime":1}`, 0), dcs.Delete(keys.Released())},
	}
}

func TestOperations(t *testing.T) { eachStore(t, operations) }

func operations(t *testing.T, store string) {
	c := newClient(t, "a", store)
	ctx := testContext(t)
	if s, m := load(t, c); len(m) != 0 || s.ClusterID == 0 {
		t.Fatalf("an empty store: %+v", s)
	}
	lease := grant(t, c, 59500*time.Millisecond)
	commit(t, c, true, dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Member("a"), `{"state":"running"}`, lease)}})
	commit(t, c, true, dcs.Txn{If: []dcs.Compare{dcs.Unchanged(keys.Sync(), 0)}, Then: []dcs.Op{dcs.Put(keys.Sync(), "s1", 0)}})
	commit(t, c, true, dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Released(), "{}", 0)}})
	before := boottime.Now()
	_, m := load(t, c)
	won := commit(t, c, true, acquire("a", lease, dcs.Unchanged(keys.Sync(), m[keys.Sync()].ModRevision), dcs.Absent(keys.Unfenced())))
	lost := commit(t, c, false, acquire("a", lease))
	s, m := load(t, c)
	leader := m[keys.Leader()]
	if leader.CreateRevision != won.Made || leader.Lease != lease || string(leader.Value) != "a" || s.Revision < won.Revision || won.ClusterID != s.ClusterID {
		t.Errorf("leader %+v, won by %+v at %d", leader, won, s.Revision)
	}
	if lost.Revision < won.Revision || s.ReadAt.Before(before) {
		t.Errorf("lost: %+v, read at %v", lost, s.ReadAt)
	}
	if _, there := m[keys.Released()]; there || string(m[keys.Status()].Value) != `{"optime":1}` || m[keys.Member("a")].Lease != lease || m[keys.Sync()].Lease != 0 {
		t.Errorf("%+v", m)
	}
	// Renewals are nobody's business: the keys stay as they were written.
	for range 3 {
		ttl, sent, err := c.KeepAlive(ctx, lease)
		if err != nil || ttl != time.Minute || sent.Before(before) {
			t.Fatalf("keep-alive: %v, %v, %v", ttl, sent, err)
		}
	}
	if _, now := load(t, c); now[keys.Leader()].ModRevision != leader.ModRevision || now[keys.Leader()].CreateRevision != leader.CreateRevision {
		t.Errorf("leader %+v, after renewals %+v", leader, now[keys.Leader()])
	}
	// Another client sees one lease for member and leader, which is not one of its own.
	other := newClient(t, "b", store)
	_, m = load(t, other)
	if l := m[keys.Leader()].Lease; l == 0 || l == lease || l != m[keys.Member("a")].Lease {
		t.Errorf("seen by another: %x and %x", l, m[keys.Member("a")].Lease)
	}
	commit(t, other, false, dcs.Txn{If: []dcs.Compare{dcs.Unchanged(keys.Sync(), 1)}, Then: []dcs.Op{dcs.Put(keys.Sync(), "stale", 0)}})
	commit(t, other, false, dcs.Txn{If: []dcs.Compare{dcs.Unchanged(keys.Sync(), 0)}, Then: []dcs.Op{dcs.Put(keys.Sync(), "stale", 0)}})
	// What the leader writes, and how it gives the lead up.
	mine := []dcs.Compare{dcs.CreatedAt(keys.Leader(), won.Made)}
	commit(t, c, true, dcs.Txn{If: mine, Then: []dcs.Op{dcs.Put(keys.Unfenced(), "{}", 0)}})
	commit(t, other, false, acquire("b", grant(t, other, time.Minute)))
	commit(t, c, false, dcs.Txn{If: []dcs.Compare{dcs.CreatedAt(keys.Leader(), won.Made-1)}, Then: []dcs.Op{dcs.Delete(keys.Leader())}})
	commit(t, c, true, dcs.Txn{If: mine, Then: []dcs.Op{dcs.Delete(keys.Leader()), dcs.Put(keys.Released(), "r", 0), dcs.Delete(keys.Unfenced())}})
	_, m = load(t, c)
	if _, led := m[keys.Leader()]; led || string(m[keys.Released()].Value) != "r" || m[keys.Unfenced()].Key != "" || string(m[keys.Sync()].Value) != "s1" {
		t.Errorf("after the end of the term: %+v", m)
	}
	if err := c.Revoke(ctx, lease); err != nil {
		t.Fatal(err)
	}
	if _, m = load(t, c); m[keys.Member("a")].Key != "" {
		t.Error("a revoked lease's key is still there")
	}
	if _, _, err := c.KeepAlive(ctx, lease); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
		t.Errorf("keep-alive of a revoked lease: %v", err)
	}
}

// TestKeysEnd sees both keys of a lease end when nobody renews it, in a watch without gap.
func TestKeysEnd(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		c, other := newClient(t, "a", store), newClient(t, "b", store)
		s, _ := load(t, other)
		updates := other.Watch(testContext(t), keys.Prefix(), s.Revision+1)
		lease := grant(t, c, time.Second)
		commit(t, c, true, dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Member("a"), "{}", lease)}})
		commit(t, c, true, acquire("a", lease))
		last, ended := s.Revision, map[string]bool{}
		for len(ended) < 2 {
			u := <-updates
			if u.Err != nil || u.Revision <= last {
				t.Fatalf("%+v after %d", u, last)
			}
			last = u.Revision
			for _, e := range u.Events {
				if e.Type == dcsclient.Delete {
					ended[e.KV.Key] = true
				}
			}
		}
		if !ended[keys.Leader()] || !ended[keys.Member("a")] {
			t.Error(ended)
		}
		if _, _, err := c.KeepAlive(testContext(t), lease); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
			t.Errorf("a lease that has ended: %v", err)
		}
		if _, err := c.Commit(testContext(t), acquire("a", lease)); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
			t.Errorf("a transaction with it: %v", err)
		}
	})
}

// TestLeaderKeyIsLost: a lease whose leader key somebody deleted, or took, is gone at once.
func TestLeaderKeyIsLost(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		c := newClient(t, "a", store)
		for _, taken := range []bool{false, true} {
			lease := grant(t, c, time.Minute)
			commit(t, c, true, acquire("a", lease))
			byHand(t, http.MethodDelete, store, keys.Leader(), nil)
			if taken { // by a process of the same name, even
				byHand(t, http.MethodPut, store, keys.Leader(), url.Values{"value": {"a"}, "ttl": {"60"}})
			}
			if _, _, err := c.KeepAlive(testContext(t), lease); !errors.Is(err, dcsclient.ErrLeaseNotFound) {
				t.Errorf("taken %v: %v", taken, err)
			}
			if _, m := load(t, c); taken && m[keys.Leader()].Lease == lease {
				t.Error("another's leader key is taken for ours")
			}
		}
	})
}

// TestAdopt takes up a former process's leader key, and nobody else's.
func TestAdopt(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		first := newClient(t, "a", store)
		won := commit(t, first, true, acquire("a", grant(t, first, time.Minute)))
		for _, name := range []string{"b", "a"} {
			c := newClient(t, name, store)
			_, m := load(t, c)
			id := m[keys.Leader()].Lease
			ttl, _, err := c.Adopt(testContext(t), id, 30*time.Second)
			if name == "b" {
				if !errors.Is(err, dcsclient.ErrLeaseNotFound) {
					t.Errorf("another's: %v", err)
				}
				continue
			}
			if err != nil || ttl != 30*time.Second {
				t.Fatalf("%v, %v", ttl, err)
			}
			_, m = load(t, c)
			if l := m[keys.Leader()]; l.Lease != id || l.CreateRevision != won.Made {
				t.Errorf("adopted: %+v", l)
			}
			if _, _, err := c.KeepAlive(testContext(t), id); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLostAnswers: a renewal whose answer was lost is made again, at the index that it finds; a transaction's outcome is unknown.
func TestLostAnswers(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		g := newGate(t, store)
		c := newClientWith(t, etcdv2.Options{Name: "a", Endpoints: []string{g.server.URL, store}, Fixed: true, RequestTimeout: patience})
		lease := grant(t, c, time.Minute)
		commit(t, c, true, acquire("a", lease))
		lose := func(method string) { g.set(nil, func(r *http.Request) bool { return r.Method != method }) }
		lose(http.MethodPut)
		sent := boottime.Now()
		if _, at, err := c.KeepAlive(testContext(t), lease); err != nil || at.Before(sent) {
			t.Errorf("keep-alive: %v, %v", at, err)
		}
		if err := c.SetEndpoints([]string{g.server.URL}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Commit(testContext(t), dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Status(), "x", 0)}})
		if !errors.Is(err, dcsclient.ErrUnknownOutcome) {
			t.Errorf("a write without an answer: %v", err)
		}
		// The leader key of a takeover whose answer was lost is this client's all the same, and can be given back.
		g.set(nil, nil)
		_, m := load(t, c)
		commit(t, c, true, dcs.Txn{If: []dcs.Compare{dcs.CreatedAt(keys.Leader(), m[keys.Leader()].CreateRevision)}, Then: []dcs.Op{dcs.Delete(keys.Leader())}})
		lose(http.MethodPut)
		if _, err := c.Commit(testContext(t), acquire("a", lease)); !errors.Is(err, dcsclient.ErrUnknownOutcome) {
			t.Errorf("a takeover without an answer: %v", err)
		}
		g.set(nil, nil)
		if _, m = load(t, c); m[keys.Leader()].Lease != lease {
			t.Errorf("%+v", m[keys.Leader()])
		}
		if _, _, err := c.KeepAlive(testContext(t), lease); err != nil {
			t.Error(err)
		}
		commit(t, c, true, dcs.Txn{If: []dcs.Compare{dcs.CreatedAt(keys.Leader(), m[keys.Leader()].CreateRevision)}, Then: []dcs.Op{dcs.Delete(keys.Leader())}})
	})
}

// TestHosts: one that refuses costs nothing, one that is silent its share of the time; the members that the store tells are used as well.
func TestHosts(t *testing.T) {
	store := etcdtest.StartV2(t)
	silent := silentHost(t)
	c := newClientWith(t, etcdv2.Options{Name: "a", Endpoints: []string{"http://" + freeport.Addr(t), "http://" + silent, store}, Fixed: true, RequestTimeout: 3 * time.Second})
	lease := grant(t, c, time.Minute)
	commit(t, c, true, acquire("a", lease))
	found := newClientWith(t, etcdv2.Options{Name: "b", Endpoints: []string{newGate(t, store).server.URL}, RequestTimeout: patience})
	if urls, err := found.Discover(testContext(t)); err != nil || !slices.Equal(urls, []string{store}) {
		t.Errorf("%v, %v", urls, err)
	}
	dead := newClientWith(t, etcdv2.Options{Name: "c", Endpoints: []string{"http://" + freeport.Addr(t)}, Fixed: true})
	if _, err := dead.Load(testContext(t), keys.Prefix()); !errors.Is(err, dcsclient.ErrUnavailable) {
		t.Errorf("no host: %v", err)
	}
	if _, err := dead.Commit(testContext(t), dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Status(), "x", 0)}}); !errors.Is(err, dcsclient.ErrUnavailable) {
		t.Errorf("no host: %v", err)
	}
}

// TestUsersAndTLS: etcd's own users of the old API, and a store behind TLS.
func TestUsersAndTLS(t *testing.T) {
	store := etcdtest.StartV2(t)
	admin := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(testContext(t), method, store+"/v2/auth/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("root", "secret")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s", method, path, resp.Status)
		}
	}
	admin(http.MethodPut, "users/root", `{"user":"root","password":"secret"}`)
	admin(http.MethodPut, "enable", "")
	admin(http.MethodPut, "roles/guest", `{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}`)
	http.DefaultClient.CloseIdleConnections()

	front := newGate(t, store)
	secure := httptest.NewTLSServer(front.to)
	t.Cleanup(secure.Close)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	with := func(user, password string, conf *tls.Config) *etcdv2.Client {
		return newClientWith(t, etcdv2.Options{
			Name: "a", Endpoints: []string{secure.URL}, Fixed: true, Username: user, Password: password, TLS: conf, RequestTimeout: 5 * time.Second,
		})
	}
	c := with("root", "secret", &tls.Config{RootCAs: pool})
	commit(t, c, true, acquire("a", grant(t, c, time.Minute)))
	for _, user := range []string{"", "root"} {
		if _, err := with(user, "wrong", &tls.Config{RootCAs: pool}).Load(testContext(t), keys.Prefix()); !errors.Is(err, dcsclient.ErrPermission) {
			t.Errorf("user %q: %v", user, err)
		}
	}
	if _, err := with("root", "secret", nil).Load(testContext(t), keys.Prefix()); !errors.Is(err, dcsclient.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of an authority that is not known: %v", err)
	}
}

// TestNoOldAPI: an etcd that does not serve it is named as the reason, with the remedy.
func TestNoOldAPI(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler()) // as etcd answers without --enable-v2
	t.Cleanup(web.Close)
	_, err := newClient(t, "a", web.URL).Load(testContext(t), keys.Prefix())
	if !errors.Is(err, dcsclient.ErrRejected) || !strings.Contains(err.Error(), "--enable-v2") {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) { eachStore(t, watch) }

// watch follows writes of several clients without gap or repeat, until a directory is deleted; and an index that is too old says so.
func watch(t *testing.T, store string) {
	c, other := newClient(t, "a", store), newClient(t, "b", store)
	commit(t, c, true, dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Config(), "{}", 0)}})
	s, m := load(t, c)
	kept := map[string]string{}
	for k, kv := range m {
		kept[k] = string(kv.Value)
	}
	updates := c.Watch(testContext(t), keys.Prefix(), s.Revision+1)
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 60 {
				txn := dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Member(fmt.Sprint(w, i%5)), fmt.Sprint(i), 0)}}
				if i%7 == 6 {
					txn.Then[0] = dcs.Delete(txn.Then[0].Key)
				}
				if _, err := other.Commit(testContext(t), txn); err != nil {
					t.Error(err)
				}
			}
		})
	}
	last := s.Revision
	take := func() bool {
		u := <-updates
		if u.Err != nil || u.Revision <= last {
			t.Fatalf("%+v after %d", u, last)
		}
		last = u.Revision
		for _, e := range u.Events {
			if e.Type == dcsclient.Delete {
				delete(kept, e.KV.Key)
			} else {
				kept[e.KV.Key] = string(e.KV.Value)
			}
		}
		return true
	}
	writers.Wait()
	end := commit(t, other, true, dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Status(), "end", 0)}})
	for last < end.Revision && take() {
	}
	_, m = load(t, other)
	for k, kv := range m {
		if kept[k] != string(kv.Value) {
			t.Errorf("%s is %q, watched %q", k, kv.Value, kept[k])
		}
	}
	if len(m) != len(kept) {
		t.Errorf("%d keys, watched %d", len(m), len(kept))
	}
	byHand(t, http.MethodDelete, store, strings.TrimSuffix(keys.Members(), "/")+"?recursive=true", nil)
	for u := range updates {
		if u.Err != nil && !errors.Is(u.Err, dcsclient.ErrCompacted) {
			t.Errorf("a directory was deleted: %v", u.Err)
		}
	}
	var all sync.WaitGroup
	for range 10 {
		one := newClient(t, "x", store) // a client's writes come one after the other
		all.Go(func() {
			for range 110 {
				_, _ = one.Commit(testContext(t), dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Status(), "x", 0)}})
			}
		})
	}
	all.Wait()
	if u := <-c.Watch(testContext(t), keys.Prefix(), s.Revision+1); !errors.Is(u.Err, dcsclient.ErrCompacted) {
		t.Errorf("an index of long ago: %+v", u)
	}
	gone, cancel := context.WithCancel(t.Context())
	quiet := c.Watch(gone, keys.Prefix(), last+100000)
	cancel()
	for range quiet {
	}
}

// TestEmptyKeySeenBeforeTheAnswer: a key that is watched before the answer to its write has come is known for this client's all the same, an empty one too: that is
// how the member that makes a new cluster knows itself.
func TestEmptyKeySeenBeforeTheAnswer(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		g := newGate(t, store)
		c := newClient(t, "a", g.server.URL)
		s, _ := load(t, c)
		lease := grant(t, c, time.Minute)
		watched := make(chan struct{})
		g.set(nil, func(r *http.Request) bool {
			switch {
			case r.URL.Query().Get("wait") != "":
				close(watched)
				g.set(nil, nil)
			case r.Method == http.MethodPut:
				<-watched
			}
			return true
		})
		updates := c.Watch(testContext(t), keys.Prefix(), s.Revision+1)
		commit(t, c, true, dcs.Txn{If: []dcs.Compare{dcs.Absent(keys.Initialize())}, Then: []dcs.Op{dcs.Put(keys.Initialize(), "", lease)}})
		if u := <-updates; len(u.Events) != 1 || u.Events[0].KV.Key != keys.Initialize() || u.Events[0].KV.Lease != lease {
			t.Errorf("watched %+v, of lease %x", u, lease)
		}
	})
}
