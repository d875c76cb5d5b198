package etcd2_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The calls that Patroni makes by its `etcd:` section, byte for byte.
func TestAsPatroniUsesIt(t *testing.T) {
	f := start(t)
	leader := "/v2/keys/service/x/leader"
	for _, c := range []struct {
		method, path, form string
		code               int
		want               string
	}{
		{"GET", "/v2/keys/service/x/?recursive=true&quorum=true", "", 404,
			`{"errorCode":100,"message":"Key not found","cause":"/service","index":0}`},
		{"PUT", leader, "value=n1&ttl=30&prevExist=false", 201,
			`{"action":"create","node":{"key":"/service/x/leader","value":"n1","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":1,"createdIndex":1}}`},
		{"PUT", leader, "value=n2&ttl=30&prevExist=false", 412,
			`{"errorCode":105,"message":"Key already exists","cause":"/service/x/leader","index":1}`},
		{"PUT", leader, "value=n1&ttl=30&prevValue=n1", 200,
			`{"action":"compareAndSwap","node":{"key":"/service/x/leader","value":"n1","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":2,"createdIndex":1},` +
				`"prevNode":{"key":"/service/x/leader","value":"n1","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":1,"createdIndex":1}}`},
		{"PUT", leader, "value=n2&ttl=30&prevValue=n2", 412,
			`{"errorCode":101,"message":"Compare failed","cause":"[n2 != n1]","index":2}`},
		{"PUT", "/v2/keys/service/x/config", "value={}&prevIndex=99", 404,
			`{"errorCode":100,"message":"Key not found","cause":"/service/x/config","index":2}`},
		{"PUT", "/v2/keys/service/x/members/n1", "value=m&ttl=30", 201,
			`{"action":"set","node":{"key":"/service/x/members/n1","value":"m","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":3,"createdIndex":3}}`},
		{"GET", "/v2/keys/service/x/?recursive=true&sorted=true", "", 200,
			`{"action":"get","node":{"key":"/service/x","dir":true,"nodes":[` +
				`{"key":"/service/x/leader","value":"n1","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":2,"createdIndex":1},` +
				`{"key":"/service/x/members","dir":true,"nodes":[{"key":"/service/x/members/n1","value":"m","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":3,"createdIndex":3}],"modifiedIndex":3,"createdIndex":3}],` +
				`"modifiedIndex":1,"createdIndex":1}}`},
		{"DELETE", leader + "?prevValue=n2", "", 412, `{"errorCode":101,"message":"Compare failed","cause":"[n2 != n1]","index":3}`},
		{"DELETE", leader + "?prevValue=n1", "", 200,
			`{"action":"compareAndDelete","node":{"key":"/service/x/leader","modifiedIndex":4,"createdIndex":1},` +
				`"prevNode":{"key":"/service/x/leader","value":"n1","expiration":"2026-11-23T12:00:30Z","ttl":30,"modifiedIndex":2,"createdIndex":1}}`},
	} {
		got := f.call(c.method, c.path, c.form)
		if got.code != c.code || got.body != c.want {
			t.Errorf("%s %s %s: %d\n got %s\nwant %d %s", c.method, c.path, c.form, got.code, got.body, c.code, c.want)
		}
		if got.header.Get("X-Etcd-Cluster-Id") != "5105" || got.header.Get("X-Etcd-Index") == "" {
			t.Errorf("%s %s: headers %v", c.method, c.path, got.header)
		}
		if got.code < 300 && (got.header.Get("X-Raft-Index") != "7" || got.header.Get("X-Raft-Term") != "2") {
			t.Errorf("%s %s: headers %v", c.method, c.path, got.header)
		}
	}
	if got := f.call("GET", "/v2/machines"); got.body != "http://127.0.0.1:2379" {
		t.Errorf("machines: %q", got.body)
	}
}

// The whole seconds that are left go down with the cluster's time, and the key goes at the end of them.
func TestTTL(t *testing.T) {
	f := start(t)
	f.call("PUT", "/v2/keys/k", "value=v&ttl=10")
	f.store.pass(t, 7500*time.Millisecond)
	if n := f.call("GET", "/v2/keys/k").json(t)["node"].(map[string]any); n["ttl"] != 3.0 || n["expiration"] != "2026-11-23T12:00:02.5Z" {
		t.Errorf("after 7.5 s: %v", n)
	}
	f.store.pass(t, 3*time.Second)
	if got := f.call("GET", "/v2/keys/k"); got.code != http.StatusNotFound {
		t.Errorf("after 10.5 s: %+v", got)
	}
	f.call("PUT", "/v2/keys/k", "value=v&ttl=10")
	f.call("PUT", "/v2/keys/k", "value=v&ttl=&prevExist=true")
	f.store.pass(t, time.Minute)
	if n := f.call("GET", "/v2/keys/k").json(t)["node"].(map[string]any); n["ttl"] != nil {
		t.Errorf("an empty ttl leaves %v", n)
	}
	if got := f.call("PUT", "/v2/keys/long", "value=v&ttl=18446744073709551615"); got.code != http.StatusCreated {
		t.Errorf("the longest ttl: %+v", got)
	}
	f.store.pass(t, time.Minute)
	if got := f.call("GET", "/v2/keys/long"); got.code != http.StatusOK {
		t.Errorf("the longest ttl is over after a minute: %+v", got)
	}
}

func TestFaults(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		method, form string
		http, code   int
		cause        string
	}{
		{"PUT", "prevValue=", 400, 201, `"prevValue" cannot be empty`},
		{"PUT", "ttl=x", 400, 202, `invalid value for "ttl"`},
		{"PUT", "prevIndex=x", 400, 203, `invalid value for "prevIndex"`},
		{"PUT", "prevExist=x", 400, 209, `invalid value for prevExist`},
		{"PUT", "dir=x", 400, 209, `invalid value for "dir"`},
		{"PUT", "wait=true", 400, 209, `"wait" can only be used with GET requests`},
		{"PUT", "refresh=true&value=v&ttl=1", 400, 211, "A value was provided on a refresh"},
		{"PUT", "refresh=true", 400, 212, "No TTL value set"},
		{"PUT", "ttl=x&prevIndex=x", 400, 203, `invalid value for "prevIndex"`},
	} {
		got := f.call(c.method, "/v2/keys/k", c.form)
		e := got.json(t)
		if got.code != c.http || e["errorCode"] != float64(c.code) || e["cause"] != c.cause {
			t.Errorf("%s %s: %d %s, want %d with %d %q", c.method, c.form, got.code, got.body, c.http, c.code, c.cause)
		}
	}
	if got := f.call("PATCH", "/v2/keys/k"); got.code != http.StatusMethodNotAllowed || got.header.Get("Allow") == "" {
		t.Errorf("PATCH: %+v", got)
	}
	f.call("PUT", "/v2/keys/d", "dir=true&ttl=100")
	if got := f.call("PUT", "/v2/keys/d", "dir=true&prevExist=true&ttl=200"); got.code != http.StatusForbidden || got.json(t)["errorCode"] != 102.0 {
		t.Errorf("another TTL for a directory: %d %s", got.code, got.body)
	}
}

// Without a leader a local read is answered, everything else is an error that clients repeat.
func TestWithoutLeader(t *testing.T) {
	f := start(t)
	f.call("PUT", "/v2/keys/k", "value=v")
	f.store.SetLeader(0)
	if got := f.call("GET", "/v2/keys/k"); got.code != 200 {
		t.Errorf("local read: %+v", got)
	}
	for _, got := range []answer{f.call("GET", "/v2/keys/k?quorum=true"), f.call("PUT", "/v2/keys/k", "value=w")} {
		if got.code != 500 || got.json(t)["errorCode"] != 301.0 {
			t.Errorf("%+v", got)
		}
	}
	if got := f.call("GET", "/v2/members/leader"); got.code != 503 || got.json(t)["message"] != "During election" {
		t.Errorf("leader: %+v", got)
	}
}

func TestNoValueOnSuccess(t *testing.T) {
	f := start(t)
	if got := f.call("PUT", "/v2/keys/k?noValueOnSuccess=true", "value=v"); got.body != `{"action":"set"}` {
		t.Errorf("%+v", got)
	}
	if got := f.call("GET", "/v2/keys/k?noValueOnSuccess=true"); got.json(t)["node"] == nil {
		t.Errorf("%+v", got)
	}
}

// A long poll has its headers at once and its event when it happens; from an index in the past it has it at once.
func TestWait(t *testing.T) {
	f := start(t)
	resp := f.poll("/v2/keys/k?wait=true")
	defer resp.Body.Close()
	if resp.Header.Get("X-Etcd-Index") != "0" {
		t.Errorf("headers %v", resp.Header)
	}
	f.call("PUT", "/v2/keys/k", "value=v")
	var e struct{ Action string }
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Action != "set" {
		t.Errorf("%+v, %v", e, err)
	}
	for i := range 3 {
		f.call("PUT", "/v2/keys/k", fmt.Sprintf("value=%d", i))
	}
	if n := f.call("GET", "/v2/keys/k?wait=true&waitIndex=3").json(t)["node"].(map[string]any); n["value"] != "1" {
		t.Errorf("from index 3: %v", n)
	}
}

func TestWaitIndexCleared(t *testing.T) {
	f := start(t)
	for range 1100 {
		f.store.pass(t, 0)
		if _, err := f.store.V2Change(t.Context(), request("PUT", "/k")); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.call("GET", "/v2/keys/k?wait=true&waitIndex=5"); got.code != 400 || got.json(t)["errorCode"] != 401.0 {
		t.Errorf("%+v", got)
	}
}

// A stream has every event, below it too, until the handler stops.
func TestStream(t *testing.T) {
	f := start(t)
	resp := f.poll("/v2/keys/d?wait=true&stream=true&recursive=true")
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range 5 {
		f.call("PUT", fmt.Sprintf("/v2/keys/d/k%d", i), "value=v")
		if !lines.Scan() || !strings.Contains(lines.Text(), fmt.Sprintf(`"key":"/d/k%d"`, i)) {
			t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
		}
	}
	f.handler.Stop()
	if lines.Scan() {
		t.Errorf("after the stop: %q", lines.Text())
	}
}
