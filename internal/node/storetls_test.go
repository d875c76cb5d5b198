package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"quorate/internal/config"
	"quorate/internal/dcsclient"
)

// certify writes NAME.crt and NAME.key for 127.0.0.1 into the site's folder, signed by ca.crt, which it makes when there is none.
func (s *site) certify() func(name string, serial int64) {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.t.Fatal(err)
		}
		return k
	}
	text := func(kind string, der []byte, err error) string {
		if err != nil {
			s.t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	ca, caKey := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageCertSign}, key()
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	s.write("ca.crt", text("CERTIFICATE", der, err))
	return func(name string, serial int64) {
		own := key()
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}, ca, own.Public(), caKey)
		s.write(name+".crt", text("CERTIFICATE", der, err))
		der, err = x509.MarshalPKCS8PrivateKey(own)
		s.write(name+".key", text("PRIVATE KEY", der, err))
	}
}

// withTLS writes the configuration with certificates on both ports of the store.
func (s *site) withTLS() {
	s.t.Helper()
	s.config("")
	text, err := os.ReadFile(s.path("c.yml"))
	if err != nil {
		s.t.Fatal(err)
	}
	files := fmt.Sprintf("{certfile: %[1]s/m.crt, keyfile: %[1]s/m.key, cafile: %[1]s/ca.crt, verify_client: required}", s.dir)
	s.write("c.yml", strings.Replace(string(text), "expect: 1}", "expect: 1, tls: "+files+", client_tls: "+files+"}", 1))
}

// With store.client_tls the port is encrypted and asks for a certificate; a host without a member of its own is let in by the same section, and a renewed
// certificate is in use at once.
func TestStoreWithTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	issue := s.certify()
	issue("m", 2)
	s.withTLS()
	s.run(s.load("store"))
	load := func(c *config.Config) error {
		opt, err := (&Node{cfg: c, log: s.options(c).Logger}).clientOptions()
		if err != nil {
			return err
		}
		opt.Endpoints = []string{"https://" + s.addr(portClient)}
		db, err := dcsclient.New(opt)
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Load(t.Context(), "/")
		return err
	}
	other := s.load("proxy")
	eventually(t, "a host without a member to read the store", func() bool { return load(other) == nil })

	stranger := s.load("proxy")
	stranger.Store.ClientTLS = config.TLS{CAFile: s.path("ca.crt")}
	if load(stranger) == nil {
		t.Error("a client without a certificate was let in")
	}
	stranger.Store.ClientTLS = config.TLS{CertFile: s.path("m.crt"), KeyFile: s.path("m.key")}
	if load(stranger) == nil {
		t.Error("a client trusts an authority that it does not know")
	}

	shown := func(want int64, when string) {
		t.Helper()
		conf, err := clientTLS("store.client_tls", config.TLS{CAFile: s.path("ca.crt")})
		if err != nil {
			t.Fatal(err)
		}
		var serial int64
		conf.VerifyConnection = func(state tls.ConnectionState) error {
			serial = state.PeerCertificates[0].SerialNumber.Int64()
			return nil
		}
		if c, err := tls.Dial("tcp", s.addr(portClient), conf); err == nil { // it is refused later, for want of a certificate
			c.Close()
		}
		if serial != want {
			t.Errorf("%s certificate %d is shown", when, serial)
		}
	}
	shown(2, "at first")
	issue("m", 3)
	shown(3, "after the renewal")
	s.write("m.key", "half of a key")
	shown(3, "with a key that cannot be read")
}

// Members that have store.tls trust certificates of its authority and nobody else, in both directions.
func TestMembersByCertificates(t *testing.T) {
	t.Parallel()
	s, foreign := newSite(t), newSite(t)
	s.certify()("m", 2)
	foreign.certify()("m", 2)
	meet := func(a, b *site) error {
		ends := make([]*config.Config, 0, 2)
		for _, site := range []*site{a, b} {
			site.withTLS()
			ends = append(ends, site.load("store"))
		}
		server, err := membersTLS(ends[0])
		if err != nil {
			t.Fatal(err)
		}
		client, err := membersTLS(ends[1])
		if err != nil {
			t.Fatal(err)
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", server.Server)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte("x"))
				_ = c.Close()
			}
		}()
		c, err := tls.Dial("tcp", l.Addr().String(), client.Client)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Read(make([]byte, 1)) // a client of TLS 1.3 learns here that it was refused
		return err
	}
	if err := meet(s, s); err != nil {
		t.Errorf("members of one authority: %v", err)
	}
	if meet(s, foreign) == nil || meet(foreign, s) == nil {
		t.Error("members of different authorities met")
	}
}
