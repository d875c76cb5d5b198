package etcd2_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Patroni's etcd driver, which speaks v2 by python-etcd.
func TestPatroniDriver(t *testing.T) {
	python := ""
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import patroni.dcs, etcd").Run() == nil {
			python = p
		}
	}
	if python == "" {
		t.Skip("Patroni with python-etcd is not installed")
	}
	f := start(t)
	// Beside /v2/ the driver asks for /version.
	mux := http.NewServeMux()
	mux.Handle("/v2/", f.handler)
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"etcdserver": "3.5.33", "etcdcluster": "3.5.0"})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() { f.handler.Stop(); server.Close() })
	f.store.SetClientURLs(server.URL)
	script := filepath.Join("..", "etcd3", "testdata", "witness.py")
	out, err := exec.CommandContext(t.Context(), python, script, "etcd", server.Listener.Addr().String()).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Errorf("%v\n%s", err, out)
	}
}
