package etcd3_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pythonWithPatroni is an interpreter that has Patroni, or the test is skipped.
func pythonWithPatroni(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import patroni.dcs").Run() == nil {
			return python
		}
	}
	t.Skip("Patroni is not installed")
	return ""
}

// Patroni's etcd3 driver, through the gateway: discovery, leases, transactions, its watch.
func TestPatroniDriver(t *testing.T) {
	python := pythonWithPatroni(t)
	f := start(t)
	f.store.SetClientURLs(f.url) // it goes where the member list says
	out, err := exec.CommandContext(f.ctx(), python, filepath.Join("testdata", "witness.py"), "etcd3", f.addr).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Errorf("%v\n%s", err, out)
	}
}
