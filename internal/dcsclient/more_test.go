package dcsclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

func TestTLS(t *testing.T) {
	h := newHost(t, newStore(t))
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	l := listen(t)
	go h.server.Serve(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: priv}}})
	trusting := newClient(t, func(o *dcsclient.Options) {
		o.Endpoints, o.TLS = []string{"https://" + l.Addr().String()}, &tls.Config{RootCAs: pool}
	})
	put(t, trusting, "k", "v")
	for name, conf := range map[string]*tls.Config{"plain": nil, "another authority": {}} {
		c := newClient(t, func(o *dcsclient.Options) { o.Endpoints, o.TLS = []string{l.Addr().String()}, conf })
		if _, err := c.Load(testContext(t), "k"); !errors.Is(err, dcsclient.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiscover(t *testing.T) {
	h := newHost(t, newStore(t))
	h.store.SetClientURLs("http://10.0.0.1:2379", "http://10.0.0.2:2379")
	urls, err := newClient(t, nil, h).Discover(testContext(t))
	if err != nil || len(urls) != 2 || urls[1] != "http://10.0.0.2:2379" {
		t.Errorf("%v, %v", urls, err)
	}
}

// Who gives up learns that it was itself: the error is of the store's unavailability and of the context's end.
func TestCallerGivesUp(t *testing.T) {
	h := newHost(t, newStore(t))
	c := newClient(t, nil, h)
	put(t, c, "k", "v")
	h.relay.cut()
	ctx, cancel := context.WithCancel(testContext(t))
	go func() { <-h.relay.swallowed; cancel() }()
	if _, err := c.Load(ctx, "k"); !errors.Is(err, dcsclient.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	if _, _, err := c.KeepAlive(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("KeepAlive: %v", err)
	}
	// A commit that was never sent has changed nothing.
	_, err := c.Commit(ctx, dcs.Txn{Then: []dcs.Op{dcs.Put("k", "w", 0)}})
	if !errors.Is(err, context.Canceled) || errors.Is(err, dcsclient.ErrUnknownOutcome) {
		t.Errorf("Commit: %v", err)
	}
}
