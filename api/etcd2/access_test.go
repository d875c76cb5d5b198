package etcd2_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"quorate/api/etcd2"
)

// as sends a request straight to a handler, as somebody, and gives the status.
func as(t *testing.T, h http.Handler, method, path, body string, who func(*http.Request)) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if who != nil {
		who(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Code
}

func basic(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

// cert is a client whose verified certificate has a name; its authority is called root.
func cert(name string) func(*http.Request) {
	return func(r *http.Request) {
		leaf, ca := &x509.Certificate{Subject: pkix.Name{CommonName: name}}, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}, {leaf, ca}}}
	}
}

// withUsers makes root, and eve, who may read what is below /e; guests may nothing.
func withUsers(t *testing.T) *frontEnd {
	t.Helper()
	f := start(t)
	for path, body := range map[string]string{
		"users/root":  `{"user":"root","password":"secret"}`,
		"users/eve":   `{"user":"eve","password":"e","roles":["r"]}`,
		"roles/r":     `{"role":"r","permissions":{"kv":{"read":["/e/*"]}}}`,
		"roles/guest": `{"role":"guest"}`,
	} {
		if code := as(t, f.handler, "PUT", "/v2/auth/"+path, body, nil); code/100 != 2 {
			t.Fatalf("%s: %d", path, code)
		}
	}
	for _, path := range []string{"/v2/keys/e/k?value=1", "/v2/keys/k?value=1", "/v2/auth/enable"} {
		if code := as(t, f.handler, "PUT", path, "", nil); code/100 != 2 {
			t.Fatalf("%s: %d", path, code)
		}
	}
	return f
}

// A member that does not know the users yet refuses, where they might be checked; etcd's takes them to be off.
func TestUnknownUsersAreNoOpenDoor(t *testing.T) {
	f := withUsers(t)
	f.store.usersErr = etcderrors.ErrNoLeader
	for path, want := range map[string]int{
		"GET /v2/keys/k": 500, "GET /v2/keys/k?wait=true": 500, "PUT /v2/keys/k?value=1": 500, "PUT /v2/auth/users/root": 500,
		"GET /v2/auth/enable": 500, "DELETE /v2/members/9": 500, "GET /v2/members": 200, "GET /v2/machines": 200,
	} {
		method, target, _ := strings.Cut(path, " ")
		if got := as(t, f.handler, method, target, "", basic("root", "secret")); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// A password that was right is no longer when it was changed, and one that another has is not mine.
func TestPasswordsThatWereRight(t *testing.T) {
	f := withUsers(t)
	expect := func(name, password string, want int) {
		t.Helper()
		for range 2 {
			if got := as(t, f.handler, "GET", "/v2/keys/e/k", "", basic(name, password)); got != want {
				t.Errorf("%s with %s: %d, want %d", name, password, got, want)
			}
		}
	}
	expect("eve", "e", 200)
	expect("eve", "secret", 401)
	expect("root", "e", 401)
	expect("root", "secret", 200)
	if code := as(t, f.handler, "PUT", "/v2/auth/users/eve", `{"user":"eve","password":"new"}`, basic("root", "secret")); code != 200 {
		t.Fatal(code)
	}
	expect("eve", "e", 401)
	expect("eve", "new", 200)
}

// The name in a verified certificate is the user where certificates are users; a name with a password goes before it, and the name of the
// authority is nobody's.
func TestCertificateIsUser(t *testing.T) {
	f := withUsers(t)
	certs, err := etcd2.New(etcd2.Options{Store: f.store, CertUsers: true})
	if err != nil {
		t.Fatal(err)
	}
	defer certs.Stop()
	both := func(r *http.Request) { cert("root")(r); basic("eve", "e")(r) }
	for _, c := range []struct {
		handler http.Handler
		path    string
		who     func(*http.Request)
		want    int
	}{
		{certs, "/v2/keys/e/k", cert("eve"), 200}, {certs, "/v2/keys/k", cert("eve"), 401}, {certs, "/v2/keys/k", cert("root"), 200},
		{certs, "/v2/keys/e/k", cert("nobody"), 401}, {certs, "/v2/keys/e/k", nil, 401}, {certs, "/v2/keys/k", both, 401},
		{certs, "/v2/auth/users", cert("root"), 200}, {certs, "/v2/auth/users", cert("nobody"), 401},
		{f.handler, "/v2/keys/e/k", cert("eve"), 401}, {f.handler, "/v2/auth/users", cert("root"), 401},
	} {
		if got := as(t, c.handler, "GET", c.path, "", c.who); got != c.want {
			t.Errorf("%s: %d, want %d", c.path, got, c.want)
		}
	}
}

// A body without end is not read to it.
func TestLongUser(t *testing.T) {
	f := start(t)
	long := `{"user":"root","password":"x","roles":["` + strings.Repeat("r", 2<<20) + `"]}`
	if got := as(t, f.handler, "PUT", "/v2/auth/users/root", long, nil); got != 400 {
		t.Errorf("%d", got)
	}
}
