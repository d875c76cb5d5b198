package etcdv2_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.uber.org/goleak"

	"quorate/api/etcd2"
	"quorate/internal/dcsclient"
	"quorate/internal/dcsclient/etcdv2"
	"quorate/internal/freeport"
	"quorate/raftstore"
	"quorate/raftstore/dcs"
	"quorate/raftstore/v2keys"
)

func TestMain(m *testing.M) {
	// A proposal that is queued when Raft shuts down is never answered (hashicorp/raft 1.8.0, Raft.ApplyLog).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/raft.(*deferError).Error"))
}

// patience bounds every wait of the tests; reaching it is a failure.
const patience = time.Minute

var keys = dcs.NewKeys("service", "shop")

// eachStore runs a test against Debian's etcd with its old API, and against Quorate's own store.
func eachStore(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("etcd", func(t *testing.T) { test(t, realEtcd(t)) })
	t.Run("quorate", func(t *testing.T) { test(t, ownStore(t)) })
}

func realEtcd(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("etcd is not installed")
	}
	client, peer := "http://"+freeport.Addr(t), "http://"+freeport.Addr(t)
	cmd := exec.Command(bin, "--data-dir", t.TempDir(), "--enable-v2", "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitV2(t, client)
	return client
}

// awaitV2 waits until a host takes writes.
func awaitV2(t *testing.T, base string) {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(base + "/v2/keys/?quorum=true")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
			if resp.StatusCode == http.StatusNotFound {
				t.Skip("this etcd does not have the v2 API any more")
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the store does not come up: %v", err)
		}
	}
}

type realStore struct{ *raftstore.Store }

func (s realStore) V2Change(ctx context.Context, r etcd2.Request) (*v2store.Event, error) {
	return s.Store.V2Change(ctx, v2keys.Request(r))
}

func ownStore(t *testing.T) string {
	t.Helper()
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store, err := raftstore.Open(raftstore.Options{
		Dir: t.TempDir(), Name: "n", Listener: peer, MachineID: "m", Expect: 1, ElectionTimeout: time.Second,
		Peers: func() []raftstore.Peer { return []raftstore.Peer{{PeerAddr: peer.Addr().String()}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := etcd2.New(etcd2.Options{Store: realStore{store}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(func() {
		handler.Stop()
		web.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	awaitV2(t, web.URL)
	return web.URL
}

func newClient(t *testing.T, name string, urls ...string) *etcdv2.Client {
	t.Helper()
	return newClientWith(t, etcdv2.Options{Name: name, Endpoints: urls, Fixed: true, RequestTimeout: patience})
}

func newClientWith(t *testing.T, o etcdv2.Options) *etcdv2.Client {
	t.Helper()
	o.Keys = keys
	c, err := etcdv2.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func grant(t *testing.T, c dcsclient.Client, ttl time.Duration) int64 {
	t.Helper()
	id, err := c.Grant(testContext(t), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// commit fails the test if the transaction has another outcome than want.
func commit(t *testing.T, c dcsclient.Client, want bool, txn dcs.Txn) dcsclient.Result {
	t.Helper()
	r, err := c.Commit(testContext(t), txn)
	if err != nil || r.Succeeded != want {
		t.Fatalf("%+v: %+v, %v", txn, r, err)
	}
	return r
}

func load(t *testing.T, c dcsclient.Client) (dcsclient.Snapshot, map[string]dcsclient.KV) {
	t.Helper()
	s, err := c.Load(testContext(t), keys.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]dcsclient.KV{}
	for _, kv := range s.KVs {
		m[kv.Key] = kv
	}
	return s, m
}

// byHand makes a request past any client, as an operator does with curl.
func byHand(t *testing.T, method, base, key string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), method, base+"/v2/keys"+key, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, key, resp.Status)
	}
}

// gate stands before a store and lets a test look at each request before it passes (Before) and after its answer has come (After): what an After that returns
// false has answered is not passed on.
type gate struct {
	mu        sync.Mutex
	before    func(r *http.Request)
	after     func(r *http.Request) bool
	requests  []string
	server    *httptest.Server
	to        *httputil.ReverseProxy
	transport *http.Transport
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{to: httputil.NewSingleHostReverseProxy(u), transport: &http.Transport{}}
	g.to.Transport = g.transport
	g.to.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(func() { g.server.CloseClientConnections(); g.server.Close(); g.transport.CloseIdleConnections() })
	return g
}

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	before, after := g.before, g.after
	g.requests = append(g.requests, fmt.Sprintf("%s %s", r.Method, strings.TrimPrefix(r.URL.Path, "/v2/keys"+keys.Prefix())))
	g.mu.Unlock()
	if before != nil {
		before(r)
	}
	if after == nil {
		g.to.ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	g.to.ServeHTTP(rec, r)
	if !after(r) {
		panic(http.ErrAbortHandler) // the answer is lost
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (g *gate) set(before func(r *http.Request), after func(r *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.after = before, after
}

// silentHost takes connections and never answers.
func silentHost(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
