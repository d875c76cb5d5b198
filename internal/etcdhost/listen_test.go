package etcdhost

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// One address may be given with and without TLS; both are served, as etcd does, and further peer URLs too. On the pages is what an etcd shows.
func TestOnePortWithAndWithoutTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	s, extra := newSite(t, "a"), newSite(t, "b")
	plain, secured := "http://"+s.client, "https://"+s.client
	line := strings.ReplaceAll(s.line("http", s), plain, plain+","+secured)
	line = strings.Replace(line, "--listen-peer-urls http://"+s.peer, "--listen-peer-urls http://"+s.peer+",http://"+extra.peer, 1)
	run(t, line+" --cert-file "+a.file("server.pem")+" --key-file "+a.file("server.key"), true)

	roots := &tls.Config{RootCAs: a.pool()}
	page := func(url string) string {
		t.Helper()
		c := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: roots}}
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, base := range []string{plain, secured} {
		if got := page(base + "/health"); got != `{"health":"true","reason":""}` {
			t.Errorf("%s: %s", base, got)
		}
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{base}, TLS: roots, DialTimeout: patience, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(t.Context(), "k", "v"); err != nil {
			t.Errorf("%s: %v", base, err)
		}
		c.Close()
	}
	shown := page(plain + "/metrics")
	for _, want := range []string{
		"etcd_mvcc_put_total", "etcd_mvcc_db_total_size_in_bytes", "etcd_disk_backend_commit_duration_seconds_count", "etcd_server_has_leader 1", "etcd_disk_wal_fsync_duration_seconds_bucket",
		"etcd_server_is_learner 0", "etcd_server_quota_backend_bytes 2.147483648e+09", "etcd_server_id{server_id=", "etcd_server_proposals_failed_total", "go_goroutines",
		"process_resident_memory_bytes", "etcd_debugging_mvcc_keys_total",
	} {
		if !strings.Contains(shown, "\n"+want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if strings.Contains(shown, "\netcd_disk_wal_fsync_duration_seconds_count 0\n") {
		t.Error("no sync of the log was measured")
	}
	if vars := page(plain + "/debug/vars"); !json.Valid([]byte(vars)) {
		t.Errorf("/debug/vars: %s", vars)
	}
	conn, err := net.Dial("tcp", extra.peer)
	if err != nil {
		t.Fatalf("the second peer URL: %v", err)
	}
	conn.Close()
}

// Peers can meet at sockets of the file system, where a dead one is in nobody's way; a member that is removed ends, without an error.
func TestUnixPeersAndRemoval(t *testing.T) {
	dir := t.TempDir()
	all := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	for i := range all {
		all[i].peer = filepath.Join(dir, all[i].name+".sock")
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: all[0].peer})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	hosts := map[string]*running{}
	for _, s := range all {
		hosts[s.name] = run(t, s.line("unix", all...), false)
	}
	c := connect(t, all[0], all[2]) // not the one that goes
	write(t, c, "k", "v")
	list, err := c.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Members {
		if m.Name == "b" {
			if len(fmt.Sprintf("%x", m.ID)) != 16 {
				t.Errorf("the id %x has not sixteen digits", m.ID)
			}
			if _, err := c.MemberRemove(t.Context(), m.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case <-hosts["b"].done:
	case <-time.After(patience):
		t.Fatal("a removed member goes on")
	}
	if !strings.Contains(hosts["b"].log.String(), "has been removed from the cluster") {
		t.Errorf("the log of the removed member:\n%s", hosts["b"].log)
	}
}

// A client that comes before there is a leader waits for it; after the time for that it is told.
func TestClientsWaitForTheFirstLeader(t *testing.T) {
	all := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	run(t, all[0].line("http", all...), false)
	eventually(t, "the port is open", func() bool {
		conn, err := net.Dial("tcp", all[0].client)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	answered := make(chan error, 1)
	c := connect(t, all[0])
	go func() { _, err := c.Put(t.Context(), "k", "v"); answered <- err }()
	for _, s := range all[1:] {
		run(t, s.line("http", all...), false)
	}
	if err := <-answered; err != nil {
		t.Errorf("a put before the first leader: %v", err)
	}

	lone := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	run(t, lone[0].line("http", lone...)+" --experimental-wait-cluster-ready-timeout 10ms", false)
	_, err := connect(t, lone[0]).Put(t.Context(), "k", "v")
	if err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("a put without a leader: %v", err)
	}
}
