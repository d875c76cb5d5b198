package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A promotion brings the settings of a primary with it, and pg_hba_primary in place of the general one.
func TestSettingsByRole(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	conf := s.config("  parameters_primary: {work_mem: 7MB}\n  parameters_replica: {work_mem: 6MB}\n" +
		"  pg_hba_primary: ['local all all scram-sha-256', 'host all all all scram-sha-256', 'host replication replicator 127.0.0.1/32 scram-sha-256']\n")
	u := s.run(conf)
	s.awaitPrimary()
	check := func() {
		t.Helper()
		eventually(t, "the settings of a primary", func() bool {
			return s.psql(portPrimary, "SHOW work_mem") == "7MB" && strings.Contains(s.read("pg/pg_hba.conf"), "host replication replicator 127.0.0.1/32")
		})
	}
	check()
	u.end()
	s.run(s.load())
	s.awaitPrimary()
	check()
}

func TestUsableDevice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/dev/null": true, file: false, file + "-not": false} {
		if usableDevice(path) != want {
			t.Errorf("%s: %t", path, !want)
		}
	}
}
