package etcd3

import (
	"fmt"
	"net"
	"net/http"
	"slices"
)

// Access says which web pages and which names of this host may be used over HTTP, as etcd's --cors and --host-whitelist do. gRPC is not
// meant: browsers do not speak it.
type Access struct {
	// Origins are those whose pages may read answers; empty, or "*" among them: all.
	Origins []string
	// Hosts are the names in the Host header of requests without TLS; empty, or "*" among them: all.
	Hosts []string
}

func allows(list []string, name string) bool {
	return len(list) == 0 || slices.Contains(list, "*") || slices.Contains(list, name)
}

// guard applies it to the HTTP side.
func (a *Access) guard(next http.Handler, rejected func(host string)) http.Handler {
	if a == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r); r.TLS == nil && !allows(a.Hosts, host) {
			rejected(host)
			http.Error(w, unknownHost(host), http.StatusMisdirectedRequest)
			return
		}
		if allows(a.Origins, "*") {
			allowOrigin(w, "*")
		} else if origin := r.Header.Get("Origin"); allows(a.Origins, origin) {
			allowOrigin(w, origin)
		}
		if r.Method == http.MethodOptions {
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostname(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		return r.Host
	}
	return host
}

func allowOrigin(w http.ResponseWriter, origin string) {
	w.Header().Add("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE")
	w.Header().Add("Access-Control-Allow-Origin", origin)
	w.Header().Add("Access-Control-Allow-Headers", "accept, content-type, authorization")
}

// unknownHost is etcd's text.
func unknownHost(host string) string {
	return fmt.Sprintf(`
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist %q

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`, host)
}
