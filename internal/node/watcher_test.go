package node

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"quorate/api/etcd3"
	"quorate/internal/dcsclient"
	"quorate/internal/solostore"
	"quorate/raftstore/dcs"
)

// storeClient is a client of a real store of one member, in this process.
func storeClient(t *testing.T) (*solostore.Store, *dcsclient.Etcd) {
	t.Helper()
	store, err := solostore.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	front, err := etcd3.New(etcd3.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Stop(context.Background()) })
	client, err := dcsclient.New(dcsclient.Options{Local: front.Conn(), RequestTimeout: storeTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return store, client
}

func put(t *testing.T, c dcsclient.Client, key, value string) {
	t.Helper()
	if _, err := c.Commit(t.Context(), dcs.Txn{Then: []dcs.Op{dcs.Put(key, value, 0)}}); err != nil {
		t.Fatal(err)
	}
}

// views collects what a watcher tells.
type views struct {
	mu  sync.Mutex
	all []viewEvent
}

func (v *views) add(e viewEvent) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, e)
}

func (v *views) last() viewEvent {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.all) == 0 {
		return viewEvent{}
	}
	return v.all[len(v.all)-1]
}

// start runs a watcher until the test ends.
func (v *views) start(t *testing.T, c dcsclient.Client, k dcs.Keys) *watcher {
	w := newWatcher(c, k, slog.New(slog.DiscardHandler), v.add)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { w.run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return w
}

func TestWatcherFollows(t *testing.T) {
	store, c := storeClient(t)
	k := dcs.NewKeys("service", "demo")
	put(t, c, k.Initialize(), "42")
	var v views
	v.start(t, c, k)
	eventually(t, "the first list", func() bool { e := v.last(); return e.cluster != nil && e.cluster.Initialize == "42" && e.seenAt != 0 })

	put(t, c, k.Member("n1"), `{"conn_url":"postgres://a/","state":"running","role":"primary"}`)
	put(t, c, k.Leader(), "n1")
	put(t, c, "/service/another/leader", "x")
	eventually(t, "the changes", func() bool {
		e := v.last()
		if e.cluster == nil || e.cluster.LeaderName() != "n1" {
			return false
		}
		_, ok := e.cluster.Member("n1")
		return ok
	})
	if _, err := c.Commit(t.Context(), dcs.Txn{Then: []dcs.Op{dcs.Delete(k.Leader())}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the lead", func() bool { e := v.last(); return e.cluster != nil && e.cluster.LeaderName() == "" })

	store.SetLeader(0)
	eventually(t, "the store's outage", func() bool { return v.last().err != nil })
	store.SetLeader(solostore.MemberID)
	put(t, c, k.Leader(), "n2")
	eventually(t, "the store again", func() bool { e := v.last(); return e.cluster != nil && e.cluster.LeaderName() == "n2" })

	v.mu.Lock()
	defer v.mu.Unlock()
	var rev int64
	for i, e := range v.all {
		if e.cluster == nil {
			continue
		}
		if e.cluster.Revision < rev {
			t.Errorf("view %d of %d leads back from revision %d to %d", i, len(v.all), rev, e.cluster.Revision)
		}
		rev = e.cluster.Revision
	}
}

// A host without PostgreSQL shows the cluster, and gives its router a table that a read of the store confirms again and again.
func TestOnlooker(t *testing.T) {
	_, c := storeClient(t)
	s := newSite(t)
	s.config("")
	conf := s.load("proxy")
	k := dcs.NewKeys(conf.Namespace, conf.Scope)
	put(t, c, k.Member("n9"), `{"conn_url":"postgres://10.0.0.9:5432/postgres","api_url":"http://10.0.0.9:8008/patroni","state":"running","role":"primary"}`)
	put(t, c, k.Leader(), "n9")
	var mu sync.Mutex
	var tables []*view
	o, err := newOnlooker(conf, c, slog.New(slog.DiscardHandler), func(v *view) {
		mu.Lock()
		defer mu.Unlock()
		tables = append(tables, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	if st := o.Status(); st == nil || st.Name != "n1" || o.Cluster() != nil || !st.View.LastSeen.IsZero() {
		t.Errorf("before the first read: %+v", st)
	}
	changed := o.ClusterChanged()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { o.watch.run(ctx) })
	defer func() { cancel(); done.Wait() }()
	<-changed
	if st := o.Status(); st.View.Leader != "n9" || st.View.LastSeen.IsZero() || st.View.TTL == 0 {
		t.Errorf("%+v", st.View)
	}
	eventually(t, "a table whose validity grows", func() bool {
		mu.Lock()
		defer mu.Unlock()
		first, last := tables[0], tables[len(tables)-1]
		table := routingTable(last)
		p, ok := table.Primary()
		return ok && p.Addr == "10.0.0.9:5432" && last.seenAt > first.seenAt && last.ttl > 0
	})
	if ok, err := o.Commit(t.Context(), dcs.Txn{Then: []dcs.Op{dcs.Put(k.Leader(), "n8", 0)}}); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if now, err := o.ReadCluster(t.Context()); err != nil || now.LeaderName() != "n8" {
		t.Errorf("%v %v", now, err)
	}
}
