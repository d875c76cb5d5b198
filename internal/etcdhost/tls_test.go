package etcdhost

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/internal/etcdtest"
	"quorate/internal/freeport"
)

// authority issues certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
	}
	a.cert = a.sign("ca", tmpl, tmpl, a.key)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) sign(name string, tmpl, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	k, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "EC PRIVATE KEY", k)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func (a *authority) issue(name string, serial int64) {
	a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.newKey())
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) revoke(serials ...int64) {
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("crl.pem", "X509 CRL", der)
}

// config is a client's, with a certificate unless name is empty.
func (a *authority) config(name string) *tls.Config {
	conf := &tls.Config{RootCAs: a.pool()}
	if name != "" {
		cert, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf
}

// health asks over TLS, with a client certificate unless name is empty.
func (a *authority) health(addr, name string) error {
	_, _, err := a.ask(addr, name, http.MethodGet, "/health", "")
	return err
}

// ask sends a request over TLS.
func (a *authority) ask(addr, name, method, path, body string) (code int, answer string, err error) {
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: a.config(name), DisableKeepAlives: true}, Timeout: patience}
	req, err := http.NewRequestWithContext(a.t.Context(), method, "https://"+addr+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// Under --client-cert-auth a certificate's name is the user of gRPC calls and of the v2 API, and of the JSON gateway not: so here and in etcd.
func TestCertificateUsers(t *testing.T) {
	a := newAuthority(t)
	for i, name := range []string{"server", "root", "eve"} {
		a.issue(name, int64(i)+2)
	}
	flags := func(addr string) []string {
		return []string{
			"--listen-client-urls", "https://" + addr, "--advertise-client-urls", "https://" + addr, "--cert-file", a.file("server.pem"),
			"--key-file", a.file("server.key"), "--trusted-ca-file", a.file("ca.pem"), "--client-cert-auth", "--enable-v2", "--bcrypt-cost", "4",
		}
	}
	t.Run("here", func(t *testing.T) {
		s := newSite(t, "n")
		run(t, s.line("http", s)+" "+strings.Join(flags(s.client), " "), true)
		certificateUsers(t, a, s.client)
	})
	t.Run("etcd", func(t *testing.T) {
		addr := freeport.Addr(t)
		etcdtest.Start(t, flags(addr)...)
		certificateUsers(t, a, addr)
	})
}

func certificateUsers(t *testing.T, a *authority, addr string) {
	t.Helper()
	clients := map[string]*clientv3.Client{}
	for _, name := range []string{"root", "eve"} {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, TLS: a.config(name), DialTimeout: patience, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients[name] = c
	}
	root, ctx := clients["root"], t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(root.RoleAdd(ctx, "root"))
	for name := range clients {
		must(root.UserAdd(ctx, name, "secret"))
	}
	must(root.UserGrantRole(ctx, "root", "root"))
	must(root.AuthEnable(ctx))
	must(root.Put(ctx, "k", "v"))
	if _, err := clients["eve"].Put(ctx, "k", "v"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("gRPC with eve's certificate: %v", err)
	}
	for _, c := range []struct {
		name, method, path, body string
		code                     int
		want                     string
	}{
		{"root", "POST", "/v3/kv/put", `{"key":"aw==","value":"dg=="}`, 400, "CommonName of client sending a request against gateway will be ignored"},
		{"root", "PUT", "/v2/auth/users/root", `{"user":"root","password":"x"}`, 201, `"user":"root"`},
		{"root", "PUT", "/v2/auth/users/eve", `{"user":"eve","password":"x","roles":["r"]}`, 200, `"user":"eve"`},
		{"root", "PUT", "/v2/auth/roles/r", `{"role":"r","permissions":{"kv":{"write":["/e"]}}}`, 201, `"role":"r"`},
		{"root", "PUT", "/v2/auth/roles/guest", `{"role":"guest"}`, 201, ""},
		{"root", "PUT", "/v2/auth/enable", "", 200, ""},
		{"root", "PUT", "/v2/keys/k?value=v", "", 201, `"action":"set"`},
		{"eve", "PUT", "/v2/keys/k?value=v", "", 401, `"errorCode":110`},
		{"eve", "PUT", "/v2/keys/e?value=v", "", 201, `"action":"set"`},
		{"server", "PUT", "/v2/keys/e?value=v", "", 401, `"errorCode":110`},
		{"eve", "DELETE", "/v2/auth/enable", "", 401, "Insufficient credentials"},
	} {
		code, body, err := a.ask(addr, c.name, c.method, c.path, c.body)
		if err != nil || code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s with %s's certificate: %d %s, %v; want %d and %q", c.path, c.name, code, body, err, c.code, c.want)
		}
	}
	if _, _, err := a.ask(addr, "", "POST", "/v3/kv/range", "{}"); err == nil {
		t.Error("the gateway answers who shows no certificate")
	}
	conn, err := tls.Dial("tcp", addr, a.config("eve")) // without ALPN
	must(conn, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "PUT /v2/keys/e?value=w HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	must(nil, err)
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("without ALPN: %s, %v", answer, err)
	}
}

// Clients are served by TLS; who shows no certificate, or a revoked one, is refused. The list is read again each time.
func TestClientTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	a.issue("good", 3)
	a.issue("bad", 4)
	a.revoke(4)
	s := newSite(t, "n")
	line := strings.ReplaceAll(s.line("http", s), "client-urls http:", "client-urls https:")
	run(t, line+" --cert-file "+a.file("server.pem")+" --key-file "+a.file("server.key")+" --trusted-ca-file "+a.file("ca.pem")+
		" --client-cert-auth --client-crl-file "+a.file("crl.pem")+
		" --cipher-suites TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", true)
	if err := a.health(s.client, "good"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "bad"} {
		if err := a.health(s.client, name); err == nil {
			t.Errorf("certificate %q: served", name)
		}
	}
	a.revoke(3)
	if err := a.health(s.client, "good"); err == nil {
		t.Error("served after its certificate was revoked")
	}
	if err := a.health(s.client, "bad"); err != nil {
		t.Errorf("no longer revoked: %v", err)
	}
}

// With --auto-tls the server makes its certificate, once.
func TestAutoTLS(t *testing.T) {
	s := newSite(t, "n")
	line := strings.ReplaceAll(s.line("http", s), "client-urls http:", "client-urls https:") + " --auto-tls"
	run(t, line, true).stop()
	cert := filepath.Join(s.dir, "fixtures", "client", "cert.pem")
	before, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	run(t, line, true)
	conn, err := tls.Dial("tcp", s.client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nobody has signed it
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if after, err := os.ReadFile(cert); err != nil || string(after) != string(before) {
		t.Errorf("made anew, %v", err)
	}
}

// A start that fails for its certificates or its ports has founded nothing.
func TestWrongStartFoundsNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flags, want := range map[string]string{
		"--listen-client-urls https://127.0.0.1:0 --advertise-client-urls https://127.0.0.1:1 --cert-file /no/cert --key-file /no/key": "client certificates: open /no/cert",
		"--listen-client-urls http://" + taken.Addr().String() + " --advertise-client-urls http://127.0.0.1:1":                         "address already in use",
	} {
		dir := filepath.Join(t.TempDir(), "data")
		peer := "http://" + freeport.Addr(t)
		c := parse(t, flags+" --data-dir "+dir+" --listen-peer-urls "+peer+" --initial-advertise-peer-urls "+peer+" --initial-cluster default="+peer)
		err := Run(t.Context(), c, quiet, prometheus.DefaultGatherer, func() { t.Error("it is ready") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", flags, err, want)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: the data folder was made: %v", flags, err)
		}
	}
}
