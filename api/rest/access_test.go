package rest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/raftstore/dcs"
)

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// ReadCluster lets another node write between the read and the write.
func (r racing) ReadCluster(ctx context.Context) (*dcs.Cluster, error) {
	c, err := r.memory.ReadCluster(ctx)
	r.memory.put(r.key, r.value)
	return c, err
}

func TestBasicAuth(t *testing.T) {
	m := cluster(`{}`)
	s := newTestServer(t, m, func(o *Options) { o.Config.Username, o.Config.Password = "admin", "secret" })
	cases := []struct {
		header, text string
		code         int
	}{
		{"", "no auth header received", 401},
		{basicAuth("admin", "wrong"), "not authenticated", 401},
		{"Bearer x", "not authenticated", 401},
		{basicAuth("admin", "secret"), "reload scheduled", 202},
	}
	for _, c := range cases {
		var headers []string
		if c.header != "" {
			headers = []string{"Authorization", c.header}
		}
		code, text, h := ask(s, "POST", "/reload", "", headers...)
		if code != c.code || text != c.text {
			t.Errorf("%q: %d %q", c.header, code, text)
		}
		if code == 401 && h.Get("WWW-Authenticate") != `Basic realm="Patroni"` {
			t.Errorf("no realm in %v", h)
		}
	}
	// Every write asks for it, and no read does.
	for _, w := range []string{"PATCH /config", "PUT /config", "POST /reload", "POST /restart", "DELETE /restart", "POST /reinitialize", "POST /switchover",
		"DELETE /switchover", "POST /failover", "POST /failsafe", "POST /mpp", "POST /citus", "POST /sigterm", "POST /v1/pledge"} {
		method, path, _ := strings.Cut(w, " ")
		if code, _, _ := ask(s, method, path, `{"a":1}`); code != 401 {
			t.Errorf("%s without a password: %d", w, code)
		}
	}
	for _, path := range []string{"/", "/patroni", "/cluster", "/history", "/config", "/metrics", "/failsafe", "/liveness"} {
		if code, _, _ := ask(s, "GET", path, ""); code == 401 || code == 403 {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

func TestForeignPages(t *testing.T) {
	s := newTestServer(t, newMemory(), nil)
	for _, c := range []struct {
		header, value string
		code          int
	}{
		{"Sec-Fetch-Site", "cross-site", 403}, {"Sec-Fetch-Site", "same-site", 403}, {"Origin", "https://evil.example", 403},
		{"Sec-Fetch-Site", "same-origin", 202}, {"Origin", "http://example.com", 202}, {"User-Agent", "curl", 202},
	} {
		if code, _, _ := ask(s, "POST", "/v1/reload", "", c.header, c.value); code != c.code {
			t.Errorf("%s: %s gives %d", c.header, c.value, code)
		}
		if code, _, _ := ask(s, "GET", "/v1/cluster", "", c.header, c.value); code == 403 {
			t.Errorf("reading with %s: %s is refused", c.header, c.value)
		}
	}
}

func TestAllowlist(t *testing.T) {
	m := cluster(`{}`) // httptest's client is 192.0.2.1
	try := func(what string, change func(*Config), path string, want int) {
		t.Helper()
		s := newTestServer(t, m, func(o *Options) { change(&o.Config) })
		if code, text, _ := ask(s, "POST", path, `{"name":"x"}`); code != want || code == 403 && text != "Access is denied" {
			t.Errorf("%s: %d %q, want %d", what, code, text, want)
		}
	}
	list := func(entries ...string) func(*Config) { return func(c *Config) { c.Allowlist = entries } }
	members := func(entries ...string) func(*Config) {
		return func(c *Config) { c.Allowlist, c.AllowlistIncludeMembers = entries, true }
	}
	try("listed", list("192.0.2.1"), "/reload", 202)
	try("in a range", list("10.0.0.0/8", "192.0.2.0/24"), "/reload", 202)
	try("in a range with host bits", list("192.0.2.77/24"), "/reload", 202)
	try("not listed", list("192.0.2.2"), "/reload", 403)
	try("members, and none of them", members(), "/reload", 403)
	try("failsafe with members alone", members(), "/failsafe", 502)
	try("failsafe with a list", list("10.9.9.9"), "/failsafe", 403)
	m.put(m.keys.Member("n4"), `{"api_url":"http://192.0.2.1:8008/patroni"}`)
	try("a member", members("10.9.9.9"), "/reload", 202)
	try("a member that does not count", list("10.9.9.9"), "/reload", 403)
	try("a member's failsafe", list("10.9.9.9"), "/failsafe", 502)

	if _, err := New(Options{Backend: m, Keys: m.keys, Config: Config{Allowlist: []string{"10.0.0.0/99"}}}); err == nil ||
		!strings.Contains(err.Error(), "restapi.allowlist") {
		t.Errorf("a wrong range gives %v", err)
	}
}

func TestPeerSignature(t *testing.T) {
	m := cluster(`{}`)
	m.pledge = func(PledgeRequest) (PledgeAnswer, error) { return PledgeAnswer{}, nil }
	key := []byte("key")
	s := newTestServer(t, m, func(o *Options) {
		o.PeerKey = key
		o.Config.Username, o.Config.Password = "admin", "secret"
		o.Config.Allowlist = []string{"10.9.9.9"}
	})
	const body = `{"term":{"cluster":7,"rev":4},"from":"n2"}`
	good := SignPeer(key, "POST", "/v1/pledge", []byte(body))
	cases := []struct {
		what, path, body, signature string
		code                        int
	}{
		{"signed", "/v1/pledge", body, good, 200},
		{"not signed", "/v1/pledge", body, "", 403},
		{"signed with another key", "/v1/pledge", body, SignPeer([]byte("x"), "POST", "/v1/pledge", []byte(body)), 403},
		{"signature of another body", "/v1/pledge", strings.Replace(body, "n2", "n3", 1), good, 403},
		{"signature of another path", "/failsafe", body, good, 403},
		{"a peer is no operator", "/reload", body, SignPeer(key, "POST", "/reload", []byte(body)), 403},
	}
	for _, c := range cases {
		if code, text, _ := ask(s, "POST", c.path, c.body, PeerHeader, c.signature); code != c.code {
			t.Errorf("%s: %d %s", c.what, code, text)
		}
	}
	unkeyed := newTestServer(t, m, func(o *Options) { o.Config.Allowlist = []string{"10.9.9.9"} })
	if code, _, _ := ask(unkeyed, "POST", "/v1/pledge", body, PeerHeader, SignPeer(nil, "POST", "/v1/pledge", []byte(body))); code != 403 {
		t.Errorf("an empty key signs: %d", code)
	}
}

// authority makes certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), next: 1}
	a.key = a.newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return k
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes name.crt and name.key and gives the serial number.
func (a *authority) issue(name string) int64 {
	a.next++
	key := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", der)
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	a.write(name+".key", "PRIVATE KEY", keyDER)
	return a.next
}

// client trusts the authority and shows the certificate of a name, if there is one.
func (a *authority) client(name string) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	conf := &tls.Config{RootCAs: pool}
	if name != "" {
		cert, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	first := a.issue("server")
	a.issue("client")
	conf := Config{
		Listen: "127.0.0.1:0", HTTPExtraHeaders: map[string]string{"X-A": "1"}, HTTPSExtraHeaders: map[string]string{"X-B": "2"},
		TLS: &TLS{CertFile: a.path("server.crt"), KeyFile: a.path("server.key"), CAFile: a.path("ca.pem"), VerifyClient: "optional"},
	}
	s := newTestServer(t, cluster(`{}`), func(o *Options) { o.Config = conf })
	base := strings.Replace(start(t, s), "http:", "https:", 1)

	get := func(c *http.Client, method, path string) (*http.Response, string, error) {
		r, _ := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		resp, err := c.Do(r)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp, string(body), nil
	}
	resp, _, err := get(a.client(""), "GET", "/patroni")
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-A")+resp.Header.Get("X-B") != "12" || resp.TLS.PeerCertificates[0].SerialNumber.Int64() != first {
		t.Fatalf("GET: %v %v", resp, err)
	}
	if resp, text, _ := get(a.client(""), "POST", "/reload"); resp.StatusCode != 403 || text != "client certificate required" {
		t.Errorf("a write without a certificate: %d %s", resp.StatusCode, text)
	}
	if resp, _, _ := get(a.client("client"), "POST", "/reload"); resp.StatusCode != 202 {
		t.Errorf("a write with a certificate: %d", resp.StatusCode)
	}

	second := a.issue("server")
	conf.TLS.VerifyClient = "required"
	if err := s.Reload(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(a.client(""), "GET", "/patroni"); err == nil {
		t.Error("a read without a certificate is served")
	}
	resp, _, err = get(a.client("client"), "GET", "/patroni")
	if err != nil || resp.TLS.PeerCertificates[0].SerialNumber.Int64() != second {
		t.Errorf("the renewed certificate is not served: %v", err)
	}

	broken := conf
	broken.TLS = &TLS{CertFile: a.path("none.crt")}
	if err := s.Reload(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "restapi.certfile") {
		t.Errorf("a missing certificate gives %v", err)
	}
	if _, _, err := get(a.client("client"), "GET", "/patroni"); err != nil {
		t.Errorf("the old configuration was lost: %v", err)
	}
}

func TestTLSRefusals(t *testing.T) {
	a := newAuthority(t)
	a.issue("server")
	empty := a.path("empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := TLS{CertFile: a.path("server.crt"), KeyFile: a.path("server.key")}
	for want, change := range map[string]func(*TLS){
		"restapi.certfile is missing": func(c *TLS) { c.CertFile = "" },
		"restapi.keyfile":             func(c *TLS) { c.KeyFile = a.path("none") },
		"restapi.cafile":              func(c *TLS) { c.CAFile = empty },
		"restapi.verify_client":       func(c *TLS) { c.VerifyClient = "maybe" },
		"restapi.ciphers":             func(c *TLS) { c.Ciphers = "RC4-MD5" },
		"there is no private key":     func(c *TLS) { c.KeyFile, c.KeyFilePassword = empty, "x" },
	} {
		c := good
		change(&c)
		if _, err := c.config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %s, got %v", want, err)
		}
	}
	good.Ciphers = "HIGH:!aNULL:ECDHE-RSA-AES128-GCM-SHA256"
	if c, err := good.config(); err != nil || len(c.CipherSuites) != 1 {
		t.Errorf("%v %v", c, err)
	}
}

func TestReloadAddress(t *testing.T) {
	s := newTestServer(t, newMemory(), nil)
	old := start(t, s)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := free.Addr().String()
	if err := s.Reload(t.Context(), Config{Listen: taken}); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("an address in use gives %v", err)
	}
	if !answers(t, old) {
		t.Error("the old address is gone although the new one could not be had")
	}
	free.Close()
	if err := s.Reload(t.Context(), Config{Listen: taken}); err != nil {
		t.Fatal(err)
	}
	if got := s.Addr().String(); got != taken || !answers(t, "http://"+taken) {
		t.Errorf("serves %s, not %s", got, taken)
	}
	if answers(t, old) {
		t.Error("the old address is still served")
	}
}

func answers(t *testing.T, base string) bool {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(base + "/liveness")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == 200
}

func TestServerTokens(t *testing.T) {
	for tokens, want := range map[string]string{"": "Quorate/test", "original": "Quorate/test", "ProductOnly": "Patroni", "minimal": "Patroni/4.1.4", "odd": "Quorate/test"} {
		s := newTestServer(t, newMemory(), func(o *Options) { o.Config.ServerTokens = tokens })
		if _, _, h := ask(s, "GET", "/patroni", ""); h.Get("Server") != want {
			t.Errorf("%q gives %q", tokens, h.Get("Server"))
		}
	}
}

func TestListenRefusals(t *testing.T) {
	for _, listen := range []string{"", "8008", "127.0.0.1", "127.0.0.1:http-but-wrong"} {
		s := newTestServer(t, newMemory(), func(o *Options) { o.Config.Listen = listen })
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "restapi.listen") {
			t.Errorf("%q gives %v", listen, err)
		}
	}
}
