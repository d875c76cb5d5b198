package etcdv2_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quorate/internal/dcsclient"
	"quorate/internal/dcsclient/etcdv2"
	"quorate/internal/etcdtest"
	"quorate/internal/raftlab"
	"quorate/raftstore/dcs"
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
	t.Run("etcd", func(t *testing.T) { test(t, etcdtest.StartV2(t)) })
	t.Run("quorate", func(t *testing.T) { test(t, raftlab.Start(t, 1)[0].URL("")) })
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
