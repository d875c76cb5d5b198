package etcd2_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quorate/internal/raftlab"
)

// A key with a TTL, written through one host and read through another, ends on the others when the leader has died.
func TestClusterTTL(t *testing.T) {
	members := raftlab.Start(t, 3)
	put := call(t, http.MethodPut, members[0].URL("/v2/keys/k"), form("value=v&ttl=2"))
	if put.code != http.StatusCreated {
		t.Fatalf("%+v", put)
	}
	read := call(t, http.MethodGet, members[1].URL("/v2/keys/k?quorum=true"), nil)
	if node := read.json(t)["node"].(map[string]any); node["value"] != "v" || node["ttl"].(float64) > 2 {
		t.Errorf("%v", node)
	}
	if put.header.Get("X-Etcd-Cluster-Id") != read.header.Get("X-Etcd-Cluster-Id") || put.header.Get("X-Raft-Term") == "0" {
		t.Errorf("headers %v and %v", put.header, read.header)
	}
	var alive []*raftlab.Member
	for _, m := range members {
		if m.Store.IsLeader() {
			m.Stop()
		} else {
			alive = append(alive, m)
		}
	}
	for _, m := range alive {
		raftlab.Eventually(t, "the key ends", func() bool {
			return call(t, http.MethodGet, m.URL("/v2/keys/k"), nil).code == http.StatusNotFound
		})
	}
}

// Patroni's two drivers against a cluster: the hosts are discovered by the member list and all of them serve.
func TestPatroniDriversOnCluster(t *testing.T) {
	if exec.Command("/usr/bin/python3", "-c", "import patroni.dcs, etcd").Run() != nil {
		t.Skip("Patroni with python-etcd is not installed")
	}
	members := raftlab.Start(t, 3)
	for i, driver := range []string{"etcd", "etcd3"} {
		script := filepath.Join("..", "etcd3", "testdata", "witness.py")
		out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", script, driver, members[i].Addr).CombinedOutput()
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
			t.Errorf("%s: %v\n%s", driver, err, out)
		}
	}
}
