package gather

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"quorate/internal/doctor"
	"quorate/internal/pemkey"
)

// pair is a certificate of the configuration.
type pair struct {
	key                     string
	cert, private, password string
	ca                      string
	wanted                  string // a server's: the name by which others reach it
}

func (g *gatherer) certificates() (out []doctor.Certificate) {
	c := g.Config
	rest, _, _ := net.SplitHostPort(c.REST.ConnectAddress)
	pairs := []pair{
		{"restapi.certfile", c.REST.TLS.CertFile, c.REST.TLS.KeyFile, c.REST.TLS.KeyFilePassword, c.REST.TLS.CAFile, rest},
		{"ctl.certfile", c.CTL.CertFile, c.CTL.KeyFile, c.CTL.KeyFilePassword, "", ""},
		{"store.tls.certfile", c.Store.PeerTLS.CertFile, c.Store.PeerTLS.KeyFile, c.Store.PeerTLS.KeyFilePassword, c.Store.PeerTLS.CAFile, c.Store.Listen},
		{"store.client_tls.certfile", c.Store.ClientTLS.CertFile, c.Store.ClientTLS.KeyFile, c.Store.ClientTLS.KeyFilePassword, c.Store.ClientTLS.CAFile, c.Store.Listen},
	}
	if e := c.Etcd; e != nil {
		pairs = append(pairs, pair{"etcd3.cert", e.Cert, e.Key, e.KeyPassword, "", ""})
	}
	for _, p := range pairs {
		if p.cert != "" {
			out = append(out, p.look())
		}
	}
	return out
}

func (p pair) look() doctor.Certificate {
	d := doctor.Certificate{Key: p.key, Path: p.cert, Wanted: p.wanted}
	private := p.private
	if private == "" {
		private = p.cert // one file may hold both
	}
	if fi, err := os.Stat(private); err == nil {
		d.KeyMode = uint32(fi.Mode().Perm())
	}
	chain, err := loadPair(p.cert, private, p.password)
	if err != nil {
		d.Err = err.Error()
		return d
	}
	leaf, err := x509.ParseCertificate(chain.Certificate[0])
	if err != nil {
		d.Err = err.Error()
		return d
	}
	d.NotBefore, d.NotAfter, d.Names = leaf.NotBefore, leaf.NotAfter, leaf.DNSNames
	if p.wanted != "" && net.ParseIP(p.wanted) != nil || p.wanted != "" && !wildcard(p.wanted) {
		if err := leaf.VerifyHostname(p.wanted); err != nil {
			d.NameErr = err.Error()
		}
	}
	if p.ca != "" {
		d.ChainErr = verify(chain, leaf, p.ca)
	}
	return d
}

// loadPair reads a certificate and its key, and sees that they belong together.
func loadPair(cert, private, password string) (tls.Certificate, error) {
	text, err := os.ReadFile(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := os.ReadFile(private)
	if err != nil {
		return tls.Certificate{}, err
	}
	if key, err = pemkey.Decrypt(key, password); err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", private, err)
	}
	return tls.X509KeyPair(text, key)
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "*" || host == "" || ip != nil && ip.IsUnspecified()
}

// verify checks the chain at a moment when the leaf is valid: its times are another rule's.
func verify(chain tls.Certificate, leaf *x509.Certificate, ca string) string {
	text, err := os.ReadFile(ca)
	if err != nil {
		return err.Error()
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return ca + " has no certificate"
	}
	for _, der := range chain.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return err.Error()
	}
	return ""
}
