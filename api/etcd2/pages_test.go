package etcd2_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"quorate/api/etcd2"
)

func request(method, path string) etcd2.Request { return etcd2.Request{Method: method, Path: path} }

// poll opens a request and returns when its headers are there.
func (f *frontEnd) poll(path string) *http.Response {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, nil)
	if err != nil {
		f.Fatal(err)
	}
	tr := &http.Transport{}
	f.Cleanup(tr.CloseIdleConnections)
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		f.Fatal(err)
	}
	return resp
}

func (f *frontEnd) sendJSON(method, path, body string) answer {
	f.Helper()
	req, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	return answer{code: resp.StatusCode}
}

func TestMembers(t *testing.T) {
	f := start(t)
	const self = `{"id":"501","name":"solo","peerURLs":["http://127.0.0.1:2380"],"clientURLs":["http://127.0.0.1:2379"]}`
	for path, want := range map[string]string{
		"/v2/members": `{"members":[` + self + `]}`, "/v2/members/": `{"members":[` + self + `]}`, "/v2/members/leader": self,
		"/v2/auth/enable": `{"enabled":false}`, "/v2/stats/leader": `{"leader":"501","followers":{}}`,
		"/v2/stats/self": `{"name":"solo","id":"501","state":"StateLeader","startTime":"2026-11-23T12:00:00Z","leaderInfo":{"leader":"501"}}`,
	} {
		if got := f.call("GET", path); got.code != 200 || got.body != want {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
	if got := f.call("GET", "/v2/stats/store"); got.code != 200 || got.json(t)["getsSuccess"] == nil {
		t.Errorf("store stats: %+v", got)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/v2/members", 500}, // a store of one member takes no other
		{"PUT", "/v2/members/501", 204}, {"PUT", "/v2/members/9", 404}, {"PUT", "/v2/members/x", 404},
		{"DELETE", "/v2/members/9", 404}, {"DELETE", "/v2/members", 405},
	} {
		if got := f.sendJSON(c.method, c.path, `{"peerURLs":["http://10.0.0.1:2380"]}`); got.code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got.code, c.want)
		}
	}
	if got := f.call("POST", "/v2/members", "peerURLs=x"); got.code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %+v", got)
	}
	f.store.SetLeader(1)
	if got := f.call("GET", "/v2/stats/leader"); got.code != 403 || got.body != `{"message":"not current leader"}` {
		t.Errorf("stats of a leader that is elsewhere: %+v", got)
	}
}

// fuzz sends a request line straight to the handler: the network would only refuse what is not HTTP.
func (f *frontEnd) fuzz(t *testing.T, line string) {
	method, target, ok := strings.Cut(line, " ")
	if !ok {
		return
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Query().Has("wait") {
		return
	}
	req := (&http.Request{Method: method, URL: u, Header: http.Header{}, Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(t.Context())
	rec := httptest.NewRecorder()
	f.handler.ServeHTTP(rec, req)
	if kind := rec.Header().Get("Content-Type"); kind == "application/json" && req.Method != http.MethodHead && rec.Body.Len() > 0 && !json.Valid(rec.Body.Bytes()) {
		t.Errorf("%q: no JSON: %q", line, rec.Body)
	}
	if rec.Code >= 500 {
		t.Errorf("%q: %d %s", line, rec.Code, rec.Body)
	}
}

// form reads parameters as they stand in a query.
func form(text string) url.Values {
	values, err := url.ParseQuery(text)
	if err != nil {
		panic(err)
	}
	return values
}
