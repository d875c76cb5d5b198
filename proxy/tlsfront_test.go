package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate makes a certificate for name and writes it to the files, the way that a renewal does.
func writeCertificate(t *testing.T, o *TLSOptions, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{o.CertFile: {Type: "CERTIFICATE", Bytes: cert}, o.KeyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newTLSRouter(t *testing.T) (r *Router, o *TLSOptions, a *server) {
	t.Helper()
	dir := t.TempDir()
	o = &TLSOptions{CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	writeCertificate(t, o, "first")
	a = newServer(t, "a")
	r = newRouter(t, func(r *Options) { r.Listeners[0].TLS = o })
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	return r, o, a
}

// secureClient asks for TLS, directly or by request, and returns the session inside.
func secureClient(t *testing.T, r *Router, direct bool) *tls.Conn {
	t.Helper()
	c := dialRouter(t, r, "primary")
	if !direct {
		write(t, c, packet(codeGSS, nil))
		for _, want := range []string{"N", "S"} {
			got := make([]byte, 1)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Fatalf("answer %q, %v; want %s", got, err, want)
			}
			if want == "N" {
				write(t, c, packet(codeSSL, nil))
			}
		}
	}
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTLSEndsHere(t *testing.T) {
	r, _, a := newTLSRouter(t)
	for name, direct := range map[string]bool{"by request": false, "direct": true} {
		t.Run(name, func(t *testing.T) {
			c := secureClient(t, r, direct)
			write(t, c, startup("ann", "shop"))
			for _, kind := range []byte{'R', 'K', 'Z'} {
				expectMessage(t, c, kind)
			}
			expectEcho(t, c, "plain inside")
			if s := r.Sessions(); len(s) != 1 || s[0].User != "ann" || s[0].Encrypted {
				t.Fatalf("sessions: %+v", s)
			}
			_ = c.Close()
			eventually(t, "the server's side closed", func() bool { return a.open() == 0 && len(r.Sessions()) == 0 })
		})
	}
	t.Run("told why it ends", func(t *testing.T) {
		c := secureClient(t, r, false)
		write(t, c, startup("ann", "shop"))
		for _, kind := range []byte{'R', 'K', 'Z'} {
			expectMessage(t, c, kind)
		}
		r.Publish(tableOf(2, a.backend(RolePrimary)))
		expectError(t, c, stateAdminShutdown)
	})
}

func TestTLSRequired(t *testing.T) {
	r, o, _ := newTLSRouter(t)
	c := dialRouter(t, r, "primary")
	write(t, c, startup("ann", "shop"))
	expectMessage(t, c, 'R') // not required: plain passes
	o.Require = true
	strict := newRouter(t, func(r *Options) { r.Listeners[0].TLS = o })
	c = dialRouter(t, strict, "primary")
	write(t, c, startup("ann", "shop"))
	expectError(t, c, stateInvalidAuthorization)
}

// Bytes behind the request for TLS are not the client's, for all that anybody knows.
func TestStuffedTLSRequest(t *testing.T) {
	r, _, _ := newTLSRouter(t)
	c := dialRouter(t, r, "primary")
	write(t, c, append(packet(codeSSL, nil), startup("eve", "shop")...))
	expectEnd(t, c)
}

func TestCertificateIsReloaded(t *testing.T) {
	_, o, _ := newTLSRouter(t)
	var failures []error
	c, err := loadCertificate(*o, func(err error) { failures = append(failures, err) })
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		c.checked = time.Time{} // as if a second had passed
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Fatalf("certificate of %q", got)
	}
	later := time.Now().Add(time.Minute)
	writeCertificate(t, o, "second")
	if err := os.Chtimes(o.CertFile, later, later); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "second" {
		t.Fatalf("after the renewal: certificate of %q", got)
	}
	if err := os.WriteFile(o.CertFile, []byte("half a f"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "second" || len(failures) != 1 {
		t.Fatalf("with a broken file: certificate of %q, failures %v", got, failures)
	}
	if _, err := loadCertificate(*o, nil); err == nil {
		t.Fatal("a broken file was accepted at start")
	}
}
