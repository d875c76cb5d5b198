package gather

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/doctor"
)

// TestARealHost gathers on this machine, with nobody else there: what can be known is, and nothing is left behind.
func TestARealHost(t *testing.T) {
	dir := t.TempDir()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cfg := load(t, fmt.Sprintf(`
scope: demo
name: pg1
roles: [store, proxy]
store: {data_dir: %s/store/deep, listen: 127.0.0.1, expect: 3}
gossip: {listen: "127.0.0.1:7946"}
restapi: {listen: "127.0.0.1:1", connect_address: "127.0.0.1:1"}
proxy: {listeners: [{name: primary, listen: "%s", target: primary}]}
`, dir, held.Addr()))
	f := Gather(context.Background(), Options{Config: cfg, Client: client.New(client.Options{URLs: []string{"127.0.0.1:1"}, Timeout: time.Second}), SyncFor: 20 * time.Millisecond})
	if len(f.Folders) != 1 || f.Folders[0].Use != "store" || f.Folders[0].Probe != dir || f.Folders[0].Total == 0 {
		t.Errorf("folders: %+v", f.Folders)
	}
	if s := f.Folders[0].Sync; s == nil || s.Count == 0 || s.P50 <= 0 || s.Max < s.P99 {
		t.Errorf("latency: %+v", s)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if f.Cluster.Err == "" || !f.Kernel.PIDFD || f.Kernel.Release == "" {
		t.Errorf("cluster %+v, kernel %+v", f.Cluster, f.Kernel)
	}
	var router *doctor.Listener
	for i := range f.Listeners {
		if f.Listeners[i].Key == "proxy.listeners[0].listen" {
			router = &f.Listeners[i]
		}
	}
	if router == nil || router.PID != os.Getpid() || !router.Other {
		t.Errorf("the port that this test holds: %+v", f.Listeners)
	}
}

func load(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "quorate.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(config.LoadOptions{Path: path, Env: map[string]string{}, Host: config.LocalHost()})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestUnits(t *testing.T) {
	etc := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(etc, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wants := "systemd/system/multi-user.target.wants/"
	write(wants+"postgresql.service", "")
	write(wants+"postgresql@16-extra.service", "")
	write(wants+"patroni.service", "")
	write("patroni/dcs.yml", "")
	write("postgresql/15/main/start.conf", "# how\nauto\n")
	write("postgresql/15/main/postgresql.conf", "data_directory = '/data/main'\t# where\n")
	write("postgresql/15/off/start.conf", "manual # by hand\n")
	write("postgresql/16/extra/postgresql.conf", "data_directory = '/data/extra'\n")
	g := &gatherer{Options: Options{Etc: etc}}
	got := fmt.Sprint(g.units())
	for _, want := range []string{"{postgresql@15-main.service /data/main postgresql false}", "{postgresql@16-extra.service /data/extra postgresql false}", "{patroni.service  patroni false}"} {
		if !strings.Contains(got, want) {
			t.Errorf("units: %s, want %s", got, want)
		}
	}
	if strings.Contains(got, "off") {
		t.Errorf("a cluster that is started by hand is among them: %s", got)
	}
	write("patroni/config.yml", "")
	if got := fmt.Sprint(g.units()); !strings.Contains(got, "patroni true}") {
		t.Errorf("units: %s", got)
	}
}

func TestHexAddr(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F48":                         "127.0.0.1:8008",
		"00000000:1388":                         "0.0.0.0:5000",
		"00000000000000000000000001000000:1538": "::1:5432",
		"0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
	} {
		ip, port, ok := hexAddr(text)
		if got := fmt.Sprintf("%s:%d", ip, port); !ok || got != want {
			t.Errorf("%s: %s %v, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "zz:1", "0100007F", "01:zzzz", "0100007:1F48"} {
		if _, _, ok := hexAddr(text); ok {
			t.Errorf("%q was read", text)
		}
	}
}

func TestNarrow(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var b *doctor.Offset
	// The other clock is 2.3 s ahead. Answers take 10 ms and show whole seconds.
	for i := range 6 {
		before := now.Add(time.Duration(i) * 170 * time.Millisecond)
		theirs := before.Add(5*time.Millisecond + 2300*time.Millisecond)
		b = narrow(b, before, before.Add(10*time.Millisecond), theirs.Truncate(time.Second))
	}
	if b.Low > 2300*time.Millisecond || b.High < 2300*time.Millisecond || b.High-b.Low > 300*time.Millisecond {
		t.Errorf("bounds %v", b)
	}
	if set := narrow(b, now, now, now.Add(time.Hour)); set.Low != time.Hour {
		t.Errorf("after a clock was set: %v", set)
	}
}

func TestLimits(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/7/limits", "Limit Soft Hard Units\nMax open files            1024                 524288               files\nMax locked memory         unlimited            unlimited            bytes\n")
	write("proc/7/status", "Name:\tx\nPPid:\t1\nUid:\t106\t106\t106\t106\n")
	write("proc/7/oom_score_adj", "-900\n")
	write("proc/7/stat", "7 (a (b) c) S 1 7 7 0 -1 4194560 9 8 7 6 5 4 3 2 10 -10 7 0 100\n")
	write("proc/7/cgroup", "0::/system.slice/quorate.service\n")
	write("sys/fs/cgroup/system.slice/quorate.service/pids.max", "max\n")
	write("sys/fs/cgroup/system.slice/quorate.service/pids.current", "9\n")
	write("sys/fs/cgroup/system.slice/pids.max", "100\n")
	write("sys/fs/cgroup/system.slice/pids.current", "90\n")
	g := &gatherer{Options: Options{Proc: root + "/proc", Sys: root + "/sys"}}
	p := g.process("agent", process{pid: 7})
	if p.NoFile != 1024 || p.MemLock != doctor.NoLimit || p.OOMScore != -900 || p.Nice != -10 || p.Root || p.PidsMax != 100 || p.PidsNow != 90 || p.MemoryMax != doctor.NoLimit {
		t.Errorf("%+v", p)
	}
}

func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"pg1"}, IsCA: true, BasicConstraintsValid: true,
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d := (pair{"k", cert, keyFile, "", cert, "pg1"}).look(); d.Err != "" || d.NameErr != "" || d.NotAfter.Before(time.Now()) || d.KeyMode != 0o600 {
		t.Errorf("%+v", d)
	}
	if d := (pair{"k", cert, keyFile, "", keyFile, "pg2"}).look(); d.NameErr == "" || d.ChainErr == "" {
		t.Errorf("another name and no authority: %+v", d)
	}
	if d := (pair{"k", cert, cert, "", "", ""}).look(); d.Err == "" {
		t.Errorf("no key: %+v", d)
	}
}

func TestTry(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if got, detail := try(context.Background(), doctor.Reach{Host: "127.0.0.1", Port: port, What: "x"}); got != "open" {
		t.Error(got, detail)
	}
	l.Close()
	if got, detail := try(context.Background(), doctor.Reach{Host: "127.0.0.1", Port: port, What: "x"}); got != "refused" {
		t.Error(got, detail)
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(u.LocalAddr().String())
	if got, detail := try(context.Background(), doctor.Reach{Host: "127.0.0.1", Port: port, What: "x (UDP)"}); got != "open" {
		t.Error(got, detail)
	}
	u.Close()
	if got, detail := try(context.Background(), doctor.Reach{Host: "127.0.0.1", Port: port, What: "x (UDP)"}); got != "refused" {
		t.Error(got, detail)
	}
}

// A member of the store without a leader says so, and is there all the same; who answers otherwise is none.
func TestStoreMemberWithoutALeaderIsThere(t *testing.T) {
	for code, want := range map[int]bool{200: true, 503: true, 404: false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		if got := storeAnswers(t.Context(), s.URL); got != want {
			t.Errorf("%d: %v", code, got)
		}
		s.Close()
	}
}
