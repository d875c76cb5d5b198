package etcd2_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"

	"quorate/api/etcd2"
	"quorate/api/etcd3"
	"quorate/raftstore"
	"quorate/raftstore/v2keys"
)

// realStore is the store as the composition gives it to the front end.
type realStore struct{ *raftstore.Store }

func (s realStore) V2Change(ctx context.Context, r etcd2.Request) (*v2store.Event, error) {
	return s.Store.V2Change(ctx, v2keys.Request(r))
}

// member is one host with both APIs on one port.
type member struct {
	store   *raftstore.Store
	handler *etcd2.Handler
	server  *etcd3.Server
	addr    string
	once    sync.Once
}

func (m *member) url(path string) string { return "http://" + m.addr + path }

func (m *member) stop(t *testing.T) {
	t.Helper()
	m.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		m.handler.Stop()
		if err := m.server.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := m.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func startCluster(t *testing.T, n int) []*member {
	t.Helper()
	peers, clients := make([]net.Listener, n), make([]net.Listener, n)
	var found []raftstore.Peer
	for i := range n {
		peers[i], clients[i] = listen(t), listen(t)
		found = append(found, raftstore.Peer{PeerAddr: peers[i].Addr().String()})
	}
	members := make([]*member, n)
	for i := range n {
		store, err := raftstore.Open(raftstore.Options{
			Dir: t.TempDir(), Name: fmt.Sprintf("n%d", i), Listener: peers[i], MachineID: fmt.Sprintf("machine-%d", i),
			ClientURLs: []string{"http://" + clients[i].Addr().String()}, Expect: n,
			Peers: func() []raftstore.Peer { return found }, ElectionTimeout: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		handler, err := etcd2.New(etcd2.Options{Store: realStore{store}})
		if err != nil {
			t.Fatal(err)
		}
		server, err := etcd3.New(etcd3.Options{Store: store, Handlers: map[string]http.Handler{"/v2/": handler}})
		if err != nil {
			t.Fatal(err)
		}
		go server.Serve(clients[i], nil)
		members[i] = &member{store: store, handler: handler, server: server, addr: clients[i].Addr().String()}
		t.Cleanup(func() { members[i].stop(t) })
	}
	for _, m := range members {
		eventually(t, "ready", func() bool { return m.store.Health() == nil })
	}
	return members
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// A key with a TTL, written through one host and read through another, ends on the others when the leader has died.
func TestClusterTTL(t *testing.T) {
	members := startCluster(t, 3)
	put := call(t, http.MethodPut, members[0].url("/v2/keys/k"), form("value=v&ttl=2"))
	if put.code != http.StatusCreated {
		t.Fatalf("%+v", put)
	}
	read := call(t, http.MethodGet, members[1].url("/v2/keys/k?quorum=true"), nil)
	if node := read.json(t)["node"].(map[string]any); node["value"] != "v" || node["ttl"].(float64) > 2 {
		t.Errorf("%v", node)
	}
	if put.header.Get("X-Etcd-Cluster-Id") != read.header.Get("X-Etcd-Cluster-Id") || put.header.Get("X-Raft-Term") == "0" {
		t.Errorf("headers %v and %v", put.header, read.header)
	}
	var alive []*member
	for _, m := range members {
		if m.store.IsLeader() {
			m.stop(t)
		} else {
			alive = append(alive, m)
		}
	}
	for _, m := range alive {
		eventually(t, "the key ends", func() bool {
			return call(t, http.MethodGet, m.url("/v2/keys/k"), nil).code == http.StatusNotFound
		})
	}
}

// Patroni's two drivers against a cluster: the hosts are discovered by the member list and all of them serve.
func TestPatroniDriversOnCluster(t *testing.T) {
	if exec.Command("/usr/bin/python3", "-c", "import patroni.dcs, etcd").Run() != nil {
		t.Skip("Patroni with python-etcd is not installed")
	}
	members := startCluster(t, 3)
	for i, driver := range []string{"etcd", "etcd3"} {
		script := filepath.Join("..", "etcd3", "testdata", "witness.py")
		out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", script, driver, members[i].addr).CombinedOutput()
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
			t.Errorf("%s: %v\n%s", driver, err, out)
		}
	}
}
