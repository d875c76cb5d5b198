package etcd3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"quorate/api/etcd3"
)

// What --cors and --host-whitelist allow and refuse, as etcd does.
func TestAccess(t *testing.T) {
	open := start(t, func(o *etcd3.Options) { o.Access = &etcd3.Access{} })
	shut := start(t, func(o *etcd3.Options) {
		o.Access = &etcd3.Access{Origins: []string{"http://a.example:80"}, Hosts: []string{"store.example"}}
	})
	none := start(t)
	for _, c := range []struct {
		f                    *frontEnd
		method, origin, host string
		code                 int
		allowed              string
	}{
		{open, "GET", "http://b.example:80", "", 200, "*"},
		{open, "OPTIONS", "", "", 200, "*"},
		{shut, "GET", "http://a.example:80", "store.example:2379", 200, "http://a.example:80"},
		{shut, "GET", "http://b.example:80", "store.example", 200, ""},
		{shut, "OPTIONS", "", "store.example", 200, ""},
		{shut, "GET", "", "", 421, ""},
		{shut, "GET", "http://a.example:80", "evil.example", 421, ""},
		{none, "GET", "http://b.example:80", "evil.example", 200, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.f.url+"/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != c.code || r.Header.Get("Access-Control-Allow-Origin") != c.allowed {
			t.Errorf("%s from %q to %q: %d, allowed %q", c.method, c.origin, c.host, r.StatusCode, r.Header.Get("Access-Control-Allow-Origin"))
		}
		if c.code == 421 && !strings.Contains(string(body), "the Host header was unrecognized") {
			t.Errorf("%s", body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	shut.put("k", "v") // gRPC has no pages
}
