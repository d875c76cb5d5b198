// Package raftlab founds real clusters of the store within a test: each member with its Raft log on disk and its peer port, and with both of
// etcd's APIs on a client port. It is for tests of the front ends and of clients; raftstore's own have cuts and faults of the disk besides.
package raftlab

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"golang.org/x/crypto/bcrypt"

	"quorate/api/etcd2"
	"quorate/api/etcd3"
	"quorate/internal/soon"
	"quorate/raftstore"
	"quorate/raftstore/v2keys"
)

// Patience bounds every wait; reaching it is a failure of the test.
const Patience = time.Minute

// Member is a member of a cluster. It is stopped with the test, if not before.
type Member struct {
	Store *raftstore.Store
	V3    *etcd3.Server
	Addr  string // host:port of both APIs

	t    testing.TB
	v2   *etcd2.Handler
	once sync.Once
}

// v2Store shows the store to the v2 API, which may not know it.
type v2Store struct{ *raftstore.Store }

func (s v2Store) V2Change(ctx context.Context, r etcd2.Request) (*v2store.Event, error) {
	return s.Store.V2Change(ctx, v2keys.Request(r))
}

// Start founds a cluster of n members and waits until each serves.
func Start(t testing.TB, n int) []*Member {
	t.Helper()
	peers, clients := make([]net.Listener, n), make([]net.Listener, n)
	var found []raftstore.Peer
	for i := range n {
		peers[i], clients[i] = listen(t), listen(t)
		found = append(found, raftstore.Peer{PeerAddr: peers[i].Addr().String()})
	}
	var members []*Member
	for i := range n {
		members = append(members, open(t, clients[i], raftstore.Options{
			Dir: t.TempDir(), Name: fmt.Sprintf("n%d", i), Listener: peers[i], MachineID: fmt.Sprintf("machine-%d", i),
			ClientURLs: []string{"http://" + clients[i].Addr().String()}, Expect: n,
			Peers: func() []raftstore.Peer { return found }, ElectionTimeout: time.Second, Auth: raftstore.AuthOptions{BcryptCost: bcrypt.MinCost},
		}))
	}
	for _, m := range members {
		Eventually(t, "ready", func() bool { return m.Store.Health() == nil })
	}
	return members
}

func open(t testing.TB, clients net.Listener, o raftstore.Options) *Member {
	t.Helper()
	m := &Member{t: t, Addr: clients.Addr().String()}
	var err error
	if m.Store, err = raftstore.Open(o); err != nil {
		t.Fatal(err)
	}
	if m.v2, err = etcd2.New(etcd2.Options{Store: v2Store{m.Store}}); err != nil {
		t.Fatal(err)
	}
	if m.V3, err = etcd3.New(etcd3.Options{Store: m.Store, Handlers: map[string]http.Handler{"/v2/": m.v2}}); err != nil {
		t.Fatal(err)
	}
	go func() { _ = m.V3.Serve(clients, nil) }()
	t.Cleanup(m.Stop)
	return m
}

// Stop ends a member in order: it hands its leadership over.
func (m *Member) Stop() {
	m.t.Helper()
	m.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		m.v2.Stop()
		if err := m.V3.Stop(ctx); err != nil {
			m.t.Errorf("stop: %v", err)
		}
		if err := m.Store.Close(); err != nil {
			m.t.Errorf("close: %v", err)
		}
	})
}

// URL is that of a path of the member.
func (m *Member) URL(path string) string { return "http://" + m.Addr + path }

// Addrs are the members' addresses.
func Addrs(members []*Member) (list []string) {
	for _, m := range members {
		list = append(list, m.Addr)
	}
	return list
}

// Leader waits for a leader and returns its place in the list.
func Leader(t testing.TB, members []*Member) int {
	t.Helper()
	leader := -1
	Eventually(t, "a leader", func() bool {
		for i, m := range members {
			if m.Store.IsLeader() {
				leader = i
			}
		}
		return leader >= 0
	})
	return leader
}

// Eventually polls until ok, and fails the test when that takes too long.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	soon.True(t, Patience, what, ok)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
