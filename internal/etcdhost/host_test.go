package etcdhost

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/internal/freeport"
	"quorate/internal/soon"
)

// patience bounds every wait; reaching it is a failure.
const patience = time.Minute

// log is a host's log, which tests read.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// running is a host, and what ends it.
type running struct {
	log  *log
	stop func()
	done <-chan struct{} // closed when it has ended
}

// run starts a host and waits until it serves, unless wait is false.
func run(t *testing.T, line string, wait bool) *running {
	t.Helper()
	c := parse(t, line)
	l := &log{}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if err := Run(ctx, c, slog.New(slog.NewTextHandler(l, nil)), prometheus.DefaultGatherer, func() { close(ready) }); err != nil {
			t.Errorf("%s: %v\n%s", line, err, l)
		}
	}()
	r := &running{log: l, done: done, stop: sync.OnceFunc(func() { cancel(); <-done })}
	t.Cleanup(r.stop)
	if wait {
		await(t, "the host is ready", ready, done)
	}
	return r
}

func await(t *testing.T, what string, ok, failed <-chan struct{}) {
	t.Helper()
	select {
	case <-ok:
	case <-failed:
		t.Fatalf("%s: it has ended", what)
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}

// site is where a member is.
type site struct{ name, dir, client, peer string }

func newSite(t *testing.T, name string) site {
	return site{name: name, dir: filepath.Join(t.TempDir(), "data"), client: freeport.Addr(t), peer: freeport.Addr(t)}
}

// line is its command line.
func (s site) line(scheme string, all ...site) string {
	var initial []string
	for _, m := range all {
		initial = append(initial, m.name+"="+scheme+"://"+m.peer)
	}
	return fmt.Sprintf("--name %s --data-dir %s --listen-client-urls http://%s --advertise-client-urls http://%s "+
		"--listen-peer-urls %s://%s --initial-advertise-peer-urls %s://%s --initial-cluster %s",
		s.name, s.dir, s.client, s.client, scheme, s.peer, scheme, s.peer, strings.Join(initial, ","))
}

func connect(t *testing.T, sites ...site) *clientv3.Client {
	t.Helper()
	var eps []string
	for _, s := range sites {
		eps = append(eps, s.client)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: eps, DialTimeout: patience, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c *clientv3.Client, key, value string) {
	t.Helper()
	eventually(t, "put "+key, func() bool { _, err := c.Put(t.Context(), key, value); return err == nil })
}

func get(t *testing.T, c *clientv3.Client, key string) (value string) {
	t.Helper()
	eventually(t, "get "+key, func() bool {
		r, err := c.Get(t.Context(), key)
		if err != nil {
			return false
		}
		value = ""
		if len(r.Kvs) > 0 {
			value = string(r.Kvs[0].Value)
		}
		return true
	})
	return value
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	soon.True(t, patience, what, ok)
}

// save writes the store's snapshot as etcdctl does.
func save(t *testing.T, c *clientv3.Client) string {
	t.Helper()
	r, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snap.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Three hosts by peers' TLS found a cluster, a fourth one joins, and a lost quorum is recovered by --force-new-cluster.
func TestClusterLife(t *testing.T) {
	all := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	var hosts []*running
	for _, s := range all {
		hosts = append(hosts, run(t, s.line("https", all...)+" --peer-auto-tls", false))
	}
	c := connect(t, all...)
	write(t, c, "k", "v")
	for i, h := range hosts {
		eventually(t, "the ready line", func() bool { return strings.Contains(h.log.String(), "ready to serve client requests") })
		if !strings.Contains(h.log.String(), "not authenticated") {
			t.Errorf("host %d says nothing of peers without authentication", i)
		}
	}
	if _, err := os.Stat(filepath.Join(all[0].dir, "fixtures", "peer", "cert.pem")); err != nil {
		t.Error(err)
	}
	more := newSite(t, "d")
	if _, err := c.MemberAdd(t.Context(), []string{"https://" + more.peer}); err != nil {
		t.Fatal(err)
	}
	joined := run(t, more.line("https", append(all, more)...)+" --peer-auto-tls --initial-cluster-state existing", true)
	if got := get(t, connect(t, more), "k"); got != "v" {
		t.Errorf("the joiner reads %q", got)
	}
	for _, h := range append(hosts, joined) {
		h.stop()
	}
	alone := run(t, all[0].line("https", all...)+" --peer-auto-tls --force-new-cluster", true)
	if !strings.Contains(alone.log.String(), "this member alone is the cluster now") {
		t.Error("no word of what --force-new-cluster means")
	}
	one := connect(t, all[0])
	if got := get(t, one, "k"); got != "v" {
		t.Errorf("after --force-new-cluster: %q", got)
	}
	if r, err := one.MemberList(t.Context()); err != nil || len(r.Members) != 1 {
		t.Errorf("members: %v, %v", r, err)
	}
}

// Two of three hosts are lost for good: `member recover` goes on with the one that is left.
func TestRecover(t *testing.T) {
	all := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	var hosts []*running
	for _, s := range all {
		hosts = append(hosts, run(t, s.line("http", all...), false))
	}
	write(t, connect(t, all...), "k", "v")
	eventually(t, "the first has it", func() bool { return get(t, connect(t, all[0]), "k") == "v" })
	for _, h := range hosts {
		h.stop()
	}
	self, err := Self(all[0].dir)
	if err != nil || self.Addr != all[0].peer {
		t.Fatalf("%+v, %v", self, err)
	}
	if err := Recover(all[0].dir, []Survivor{self}); err != nil {
		t.Fatal(err)
	}
	run(t, all[0].line("http", all...), true)
	if got := get(t, connect(t, all[0]), "k"); got != "v" {
		t.Errorf("recovered: %q", got)
	}
}

// A snapshot of ours starts a real etcd, and one of a real etcd starts ours.
func TestSnapshotsToAndFromEtcd(t *testing.T) {
	for _, name := range []string{"etcd", "etcdctl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not installed")
		}
	}
	ours := newSite(t, "ours")
	run(t, ours.line("http", ours), true)
	c := connect(t, ours)
	for i := range 20 {
		write(t, c, "k", fmt.Sprint(i))
	}
	file := save(t, c)
	st, err := SnapshotStatus(file)
	out := etcdctl(t, "snapshot", "status", file)
	if err != nil || !strings.HasPrefix(out, fmt.Sprintf("%x, %d, %d,", st.Hash, st.Revision, st.TotalKey)) {
		t.Errorf("status %+v, %v; etcdctl says %s", st, err, out)
	}
	real := newSite(t, "real")
	etcdctl(t, "snapshot", "restore", file, "--name", "real", "--data-dir", real.dir, "--initial-cluster", "real=http://"+real.peer,
		"--initial-advertise-peer-urls", "http://"+real.peer)
	cmd := exec.Command("etcd", strings.Fields(real.line("http", real)+" --logger zap --log-outputs stderr")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(stop)
	etcd := connect(t, real)
	if got := get(t, etcd, "k"); got != "19" {
		t.Errorf("real etcd reads %q", got)
	}
	write(t, etcd, "k", "real")
	back := save(t, etcd)
	stop()

	again := newSite(t, "again")
	if err := Restore(again.dir, again.peer, back, false); err != nil {
		t.Fatal(err)
	}
	run(t, again.line("http", again), true)
	if got := get(t, connect(t, again), "k"); got != "real" {
		t.Errorf("restored from etcd: %q", got)
	}
	// The folder of the etcd itself is refused by name, and left alone.
	err = Run(t.Context(), parse(t, real.line("http", real)), quiet, prometheus.DefaultGatherer, func() {})
	if err == nil || !strings.Contains(err.Error(), "an etcd has run on it") {
		t.Errorf("an etcd's folder: %v", err)
	}
}

func etcdctl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "etcdctl", args...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("etcdctl %v: %v\n%s", args, err, out)
	}
	return string(out)
}
