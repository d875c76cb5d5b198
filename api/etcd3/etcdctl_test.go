package etcd3_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// etcdctl runs the real one and returns what it prints.
func (f *frontEnd) etcdctl(args ...string) string {
	f.Helper()
	out, err := f.runEtcdctl(args...)
	if err != nil {
		f.Errorf("etcdctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// etcdctlFails is etcdctl for a command that must fail.
func (f *frontEnd) etcdctlFails(args ...string) string {
	f.Helper()
	out, err := f.runEtcdctl(args...)
	if err == nil {
		f.Errorf("etcdctl %s succeeds\n%s", strings.Join(args, " "), out)
	}
	return out
}

func (f *frontEnd) runEtcdctl(args ...string) (string, error) {
	f.Helper()
	path, err := exec.LookPath("etcdctl")
	if err != nil {
		f.Skip("etcdctl is not installed")
	}
	cmd := exec.CommandContext(f.ctx(), path, append([]string{"--endpoints", f.addr, "--command-timeout", patience.String(), "--dial-timeout", patience.String()}, args...)...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestEtcdctl(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		args string
		want string // a part of the output
	}{
		{"endpoint health", "is healthy: successfully committed proposal"},
		{"endpoint status -w fields", `"Version" : "3.5.33"`},
		{"put test-key hello", "OK"},
		{"get test-key", "test-key\nhello"},
		{"get --prefix --keys-only test", "test-key"},
		{"put test-key again --prev-kv", "OK\ntest-key\nhello"},
		{"del test-key", "1"},
		{"member list", "501, started, solo, http://127.0.0.1:2380, http://127.0.0.1:2379, false"},
		{"lease grant 60", "granted with TTL(60s)"},
		{"lease list", "found 1 leases"},
		{"alarm list", ""},
		{"endpoint hashkv", f.addr},
		{"compaction 2", "compacted revision 2"},
		{"defrag", "Finished defragmenting etcd member"},
		{"lock name true", ""},
		{"move-leader 501", "Leadership transferred from 501 to 501"},
	} {
		if got := f.etcdctl(strings.Fields(c.args)...); !strings.Contains(got, c.want) {
			t.Errorf("etcdctl %s: got %q, want %q in it", c.args, got, c.want)
		}
	}
}

// What etcdctl saves it also takes for a database.
func TestEtcdctlSnapshot(t *testing.T) {
	f := start(t)
	for range 20 {
		f.put("k", "v")
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	if got := f.etcdctl("snapshot", "save", file); !strings.Contains(got, "Snapshot saved at") {
		t.Fatalf("save: %s", got)
	}
	if got := f.etcdctl("snapshot", "status", file); !strings.Contains(got, ", 21, ") {
		t.Errorf("status: %s, want revision 21 in it", got)
	}
	if got := f.etcdctl("snapshot", "restore", file, "--data-dir", filepath.Join(t.TempDir(), "restored")); !strings.Contains(got, "restored snapshot") {
		t.Errorf("restore: %s", got)
	}
}
