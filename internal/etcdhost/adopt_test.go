package etcdhost

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quorate/raftstore"
)

// The runbook of etcd's disaster recovery: each host restores the snapshot for its place in the cluster, then all are started.
func TestFoldersRestoredForEtcd(t *testing.T) {
	if _, err := exec.LookPath("etcdctl"); err != nil {
		t.Skip("etcdctl is not installed")
	}
	old := newSite(t, "old")
	h := run(t, old.line("http", old), true)
	c := connect(t, old)
	for range 20 {
		write(t, c, "k", "v")
	}
	lease, err := c.Grant(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	file := save(t, c)
	h.stop()

	all := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	var initial []string
	for _, s := range all {
		initial = append(initial, s.name+"=http://"+s.peer)
	}
	restore := func(s site) {
		t.Helper()
		etcdctl(t, "snapshot", "restore", file, "--name", s.name, "--data-dir", s.dir, "--initial-cluster", strings.Join(initial, ","),
			"--initial-cluster-token", "again", "--initial-advertise-peer-urls", "http://"+s.peer)
	}
	for _, s := range all {
		restore(s)
	}
	// On two of them an import was cut short: before its identity was in its place, and after.
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(all[0].dir, makingFolder, "restoring"), 0o700))
	must(os.MkdirAll(filepath.Join(all[0].dir, raftstore.FolderFiles()[0]), 0o700)) // rubbish
	half := &host{c: parse(t, all[1].line("http", all...)), log: quiet}
	o, err := half.options()
	must(err)
	must(half.adopt(o))
	must(os.Rename(filepath.Join(all[1].dir, keptFolder), filepath.Join(all[1].dir, etcdFolder)))
	must(os.Mkdir(filepath.Join(all[1].dir, makingFolder), 0o700))

	start := func() (hosts []*running) {
		for _, s := range all {
			hosts = append(hosts, run(t, s.line("http", all...), false))
		}
		return hosts
	}
	hosts := start()
	c = connect(t, all...)
	if got := get(t, c, "k"); got != "v" {
		t.Errorf("restored: %q", got)
	}
	if r, err := c.TimeToLive(t.Context(), lease.ID); err != nil || r.TTL < 900 {
		t.Errorf("the lease: %v, %v", r, err)
	}
	eventually(t, "three members with their names", func() bool {
		r, err := c.MemberList(t.Context())
		if err != nil || len(r.Members) != 3 {
			return false
		}
		names := map[string]bool{}
		for _, m := range r.Members {
			names[m.Name] = true
		}
		return names["a"] && names["b"] && names["c"]
	})
	write(t, c, "k", "new")
	for _, s := range all {
		if _, err := os.Stat(filepath.Join(s.dir, keptFolder, "snap", "db")); err != nil {
			t.Errorf("etcd's part is not kept: %v", err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, makingFolder)); err == nil {
			t.Errorf("%s is left in %s", makingFolder, s.dir)
		}
	}
	for _, h := range hosts {
		h.stop()
	}
	start()
	if got := get(t, connect(t, all...), "k"); got != "new" {
		t.Errorf("after a restart: %q", got)
	}
}

// What is no fresh restore, or one for another place, is refused and left as it is.
func TestRestoredFoldersRefused(t *testing.T) {
	if _, err := exec.LookPath("etcdctl"); err != nil {
		t.Skip("etcdctl is not installed")
	}
	old := newSite(t, "old")
	run(t, old.line("http", old), true)
	file := save(t, connect(t, old))
	s := newSite(t, "s")
	etcdctl(t, "snapshot", "restore", file, "--name", "s", "--data-dir", s.dir, "--initial-cluster", "s=http://"+s.peer,
		"--initial-advertise-peer-urls", "http://"+s.peer)
	try := func(line, want string) {
		t.Helper()
		h := &host{c: parse(t, line), log: quiet}
		o, err := h.options()
		if err != nil {
			t.Fatal(err)
		}
		if err := h.adopt(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
		if _, err := os.Stat(filepath.Join(s.dir, etcdFolder, "snap", "db")); err != nil {
			t.Errorf("etcd's part: %v", err)
		}
	}
	moved := s
	moved.peer = newSite(t, "x").peer
	try(moved.line("http", moved), "it was restored for the peer address "+s.peer)
	logs, err := filepath.Glob(filepath.Join(s.dir, etcdFolder, "wal", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs[0], []byte("no log"), 0o600); err != nil {
		t.Fatal(err)
	}
	try(s.line("http", s), "holds the data of an etcd")
}
