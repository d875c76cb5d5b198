package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"quorate/internal/pemkey"
)

// TLSFiles are the files and the trust of a client of the API, as Patroni's section ctl names them.
type TLSFiles struct {
	CACert   string // empty: the system's authorities
	CertFile string
	KeyFile  string // empty: the key stands in CertFile
	// KeyPassword decrypts the key.
	KeyPassword string
	// Insecure skips all verification of the server; with a certificate of our own, only that of its host name, as in Patroni.
	Insecure bool
}

// Config loads the files.
func (f TLSFiles) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CACert != "" {
		pool, err := readPool(f.CACert)
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	if f.CertFile != "" {
		cert, err := f.certificate()
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	if f.Insecure {
		c.InsecureSkipVerify = true
		if f.CertFile != "" {
			c.VerifyConnection = chainOnly(c.RootCAs)
		}
	}
	return c, nil
}

func (f TLSFiles) certificate() (tls.Certificate, error) {
	keyFile := f.KeyFile
	if keyFile == "" {
		keyFile = f.CertFile
	}
	cert, err := os.ReadFile(f.CertFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client key: %w", err)
	}
	if key, err = pemkey.Decrypt(key, f.KeyPassword); err != nil {
		return tls.Certificate{}, fmt.Errorf("client key %s: %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate %s: %w", f.CertFile, err)
	}
	return pair, nil
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authority: %s has no certificate in PEM form", file)
	}
	return pool, nil
}

// chainOnly verifies the server's chain and not its name.
func chainOnly(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the server has no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}
