package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"quorate/internal/pemkey"
)

// TLS is the part of the section restapi about certificates.
type TLS struct {
	CertFile        string
	KeyFile         string // "": the key is in CertFile
	KeyFilePassword string // "": the key is not encrypted
	CAFile          string // "": the system's authorities
	Ciphers         string // OpenSSL's names, separated by colons; "": Go's choice. They apply up to TLS 1.2.
	VerifyClient    string // none (default), optional (writes need a certificate) or required (all requests do)
}

// verifies says whether writes need a client's certificate.
func (t *TLS) verifies() bool {
	return t != nil && (strings.EqualFold(t.VerifyClient, "optional") || strings.EqualFold(t.VerifyClient, "required"))
}

// config reads the files. It is called again at each reload: a renewed certificate is taken without a restart.
func (t *TLS) config() (*tls.Config, error) {
	cert, err := t.keyPair()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	switch strings.ToLower(t.VerifyClient) {
	case "", "none":
	case "optional":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("restapi.verify_client is %q: expected none, optional or required", t.VerifyClient)
	}
	if c.ClientCAs, err = authorities(t.CAFile); err != nil {
		return nil, err
	}
	if c.CipherSuites, err = cipherSuites(t.Ciphers); err != nil {
		return nil, err
	}
	return c, nil
}

func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("restapi.cafile: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("restapi.cafile %s: there is no certificate in it", file)
	}
	return pool, nil
}

// keyPair loads the certificate with its key.
func (t *TLS) keyPair() (tls.Certificate, error) {
	if t.CertFile == "" {
		return tls.Certificate{}, errors.New("restapi.certfile is missing")
	}
	certPEM, err := os.ReadFile(t.CertFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("restapi.certfile: %w", err)
	}
	keyPEM, keyName := certPEM, t.CertFile
	if t.KeyFile != "" {
		keyName = t.KeyFile
		if keyPEM, err = os.ReadFile(t.KeyFile); err != nil {
			return tls.Certificate{}, fmt.Errorf("restapi.keyfile: %w", err)
		}
	}
	if t.KeyFilePassword != "" {
		if keyPEM, err = pemkey.Decrypt(keyPEM, t.KeyFilePassword); err != nil {
			return tls.Certificate{}, fmt.Errorf("restapi.keyfile %s: %w", keyName, err)
		}
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("restapi.certfile %s with key %s: %w", t.CertFile, keyName, err)
	}
	return cert, nil
}
