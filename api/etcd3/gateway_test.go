package etcd3_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"quorate/internal/solostore"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// post sends JSON and returns status and body.
func (f *frontEnd) post(path, body string) (int, string) {
	f.Helper()
	resp, err := f.open(path, body)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(answer))
}

func (f *frontEnd) open(path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(f.ctx(), http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	return f.http().Do(req)
}

// http is a client whose connections end with the test.
func (f *frontEnd) http() *http.Client {
	tr := &http.Transport{}
	f.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// The calls that Patroni makes, byte for byte as etcd 3.4 and 3.5 answer them.
func TestGatewayAsPatroniUsesIt(t *testing.T) {
	f := start(t)
	header := func(rev int) string {
		return fmt.Sprintf(`"header":{"cluster_id":"%d","member_id":"%d","revision":"%d","raft_term":"2"}`, solostore.ClusterID, solostore.MemberID, rev)
	}
	k, v := b64("/service/x/leader"), b64("node1")
	end := b64("/service/x0")
	for _, c := range []struct{ name, path, body, want string }{
		{"grant", "/v3/lease/grant", `{"TTL":30}`, `{` + header(1) + `,"ID":"2","TTL":"30"}`},
		{"keep-alive", "/v3/lease/keepalive", `{"ID":"2"}`, `{"result":{` + header(1) + `,"ID":"2","TTL":"30"}}`},
		{"keep-alive of none has no TTL", "/v3/lease/keepalive", `{"ID":"99"}`, `{"result":{` + header(1) + `,"ID":"99"}}`},
		{"acquire", "/v3/kv/txn",
			`{"compare":[{"key":"` + k + `","target":"CREATE","create_revision":"0"}],"success":[{"request_put":{"key":"` + k + `","value":"` + v + `","lease":"2"}}]}`,
			`{` + header(2) + `,"succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}}]}`},
		{"acquire again", "/v3/kv/txn",
			`{"compare":[{"key":"` + k + `","target":"CREATE","create_revision":"0"}],"success":[{"request_put":{"key":"` + k + `"}}]}`,
			`{` + header(2) + `}`},
		{"nested in the failure branch", "/v3/kv/txn",
			`{"compare":[{"key":"` + k + `","target":"VALUE","value":"` + b64("other") + `"}],"success":[{"request_put":{"key":"` + k + `"}}],` +
				`"failure":[{"request_txn":{"compare":[{"key":"` + k + `","target":"CREATE","create_revision":"0"}],"success":[{"request_put":{"key":"` + k + `"}}]}}]}`,
			`{` + header(2) + `,"responses":[{"response_txn":{"header":{}}}]}`},
		{"read", "/v3/kv/range", `{"key":"` + b64("/service/x/") + `","range_end":"` + end + `","serializable":true}`,
			`{` + header(2) + `,"kvs":[{"key":"` + k + `","create_revision":"2","mod_revision":"2","version":"1","value":"` + v + `","lease":"2"}],"count":"1"}`},
		{"put, enum and ints as numbers, a field unknown", "/v3/kv/put", `{"key":"` + k + `","value":"` + v + `","lease":2,"of_tomorrow":1}`, `{` + header(3) + `}`},
		{"delete", "/v3/kv/deleterange", `{"key":"` + k + `"}`, `{` + header(4) + `,"deleted":"1"}`},
		{"the path of etcd 3.3", "/v3beta/kv/range", `{"key":"` + k + `"}`, `{` + header(4) + `}`},
		{"members", "/v3/cluster/member/list", `{}`,
			`{` + header(4) + `,"members":[{"ID":"1281","name":"solo","peerURLs":["http://127.0.0.1:2380"],"clientURLs":["http://127.0.0.1:2379"]}]}`},
		{"the lease path of old", "/v3/kv/lease/timetolive", `{"ID":"99"}`, `{` + header(4) + `,"ID":"99","TTL":"-1"}`},
	} {
		code, got := f.post(c.path, c.body)
		if code != http.StatusOK || got != c.want {
			t.Errorf("%s: %d\n got %s\nwant %s", c.name, code, got, c.want)
		}
	}
}

// The errors carry what clients of every etcd generation look for.
func TestGatewayErrors(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		name, path, body string
		fail             error
		http             int
		want             string
	}{
		{"no key", "/v3/kv/range", `{}`, nil, 400,
			`{"error":"etcdserver: key is not provided","code":3,"message":"etcdserver: key is not provided"}`},
		{"no lease", "/v3/lease/revoke", `{"ID":"9"}`, nil, 404,
			`{"error":"etcdserver: requested lease not found","code":5,"message":"etcdserver: requested lease not found"}`},
		{"no leader", "/v3/kv/put", `{"key":"aw=="}`, etcderrors.ErrNoLeader, 503,
			`{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}`},
		{"unknown outcome", "/v3/kv/put", `{"key":"aw=="}`, etcderrors.ErrTimeout, 503,
			`{"error":"etcdserver: request timed out","code":14,"message":"etcdserver: request timed out"}`},
		{"stream", "/v3/lease/keepalive", `{"ID":"9"}`, etcderrors.ErrNoLeader, 503,
			`{"error":{"grpc_code":14,"http_code":503,"http_status":"Service Unavailable","code":14,"message":"etcdserver: no leader","details":[]}}`},
		{"authentication", "/v3/auth/authenticate", `{"name":"a","password":"b"}`, nil, 501, ""},
		{"not JSON", "/v3/kv/range", `key`, nil, 400, ""},
		{"no such path", "/v3/kv/nothing", `{}`, nil, 404, ""},
	} {
		f.store.SetError(c.fail)
		code, got := f.post(c.path, c.body)
		if code != c.http || c.want != "" && got != c.want {
			t.Errorf("%s: %d, want %d\n got %s\nwant %s", c.name, code, c.http, got, c.want)
		}
		var any map[string]any
		if err := json.Unmarshal([]byte(got), &any); err != nil {
			t.Errorf("%s: body is no JSON: %q", c.name, got)
		}
	}
}

// A watch by JSON: chunked, every message flushed at once, one JSON document per line.
func TestGatewayWatch(t *testing.T) {
	f := start(t)
	rev := f.put("k", "1")
	resp, err := f.open("/v3/watch", fmt.Sprintf(`{"create_request":{"key":"%s","start_revision":"%d"}}`, b64("k"), rev))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.TransferEncoding; len(got) != 1 || got[0] != "chunked" {
		t.Errorf("transfer encoding %v", got)
	}
	lines := bufio.NewReader(resp.Body)
	next := func() (r struct {
		Result struct {
			Created bool
			Events  []struct {
				Type string
				KV   struct {
					Key, Value  string
					ModRevision string `json:"mod_revision"`
				}
			}
		}
	}) {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := next(); !r.Result.Created {
		t.Fatalf("want created, got %+v", r)
	}
	if r := next(); len(r.Result.Events) != 1 || r.Result.Events[0].Type != "" || r.Result.Events[0].KV.Value != b64("1") {
		t.Fatalf("want the put that was there, got %+v", r)
	}
	f.put("k", "2")
	if r := next(); len(r.Result.Events) != 1 || r.Result.Events[0].KV.ModRevision != fmt.Sprint(rev+1) {
		t.Fatalf("want the second put, got %+v", r)
	}
	f.delete("k")
	if r := next(); len(r.Result.Events) != 1 || r.Result.Events[0].Type != "DELETE" {
		t.Fatalf("want the delete, got %+v", r)
	}
}

// Lock and election by JSON, on the services that etcd has for it.
func TestGatewayLock(t *testing.T) {
	f := start(t)
	var held struct{ Key string }
	code, body := f.post("/v3/lock/lock", `{"name":"`+b64("l")+`"}`)
	if err := json.Unmarshal([]byte(body), &held); code != 200 || err != nil || held.Key == "" {
		t.Fatalf("lock: %d %s %v", code, body, err)
	}
	if code, body := f.post("/v3/lock/unlock", `{"key":"`+held.Key+`"}`); code != 200 {
		t.Errorf("unlock: %d %s", code, body)
	}
	code, body = f.post("/v3/election/campaign", `{"name":"`+b64("e")+`","value":"`+b64("me")+`","lease":"`+fmt.Sprint(f.grant(60))+`"}`)
	if code != 200 {
		t.Fatalf("campaign: %d %s", code, body)
	}
	if code, body = f.post("/v3/election/leader", `{"name":"`+b64("e")+`"}`); code != 200 || !strings.Contains(body, b64("me")) {
		t.Errorf("leader: %d %s", code, body)
	}
}

// FuzzGateway sends any body to any call: the answer is JSON with a known status, and the server lives.
func FuzzGateway(f *testing.F) {
	paths := []string{"/v3/kv/range", "/v3/kv/put", "/v3/kv/txn", "/v3/kv/deleterange", "/v3/lease/grant", "/v3/lease/keepalive", "/v3/cluster/member/add"}
	f.Add(uint8(0), []byte(`{"key":"aw==","range_end":"AA==","sort_order":"DESCEND","sort_target":2}`))
	f.Add(uint8(2), []byte(`{"compare":[{"key":"aw==","target":"VALUE","value":""}],"success":[{"request_txn":{"success":[{"request_range":{"key":"aw=="}}]}}]}`))
	f.Add(uint8(2), []byte(`{"success":[{}]}`))
	f.Add(uint8(2), []byte(`{"success":[null],"compare":[null]}`))
	f.Add(uint8(4), []byte(`{"TTL":-1}`))
	f.Add(uint8(5), []byte(`{"ID":"x"}`))
	f.Add(uint8(1), []byte{0xff, '{'})
	fe := start(f)
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		fe := &frontEnd{TB: t, url: fe.url, conn: fe.conn}
		code, answer := fe.post(paths[int(which)%len(paths)], string(body))
		if code == http.StatusInternalServerError {
			t.Errorf("%d %s", code, answer)
		}
		if answer != "" && !json.Valid([]byte(answer)) {
			t.Errorf("%d, no JSON: %q", code, answer)
		}
		fe.put("alive", "yes")
	})
}
