// Package peertls gives the hosts of one cluster mutual TLS from the one secret that they share, without a certificate to
// make, copy or renew.
//
// The secret yields a certificate authority's key (HKDF-SHA256 to an Ed25519 seed), so every host derives the same
// authority; each process signs a certificate for a key of its own that it keeps in memory. Whoever can show a certificate of
// that authority knows the secret, on both sides of a connection. TLS 1.3 keeps past connections secret even from
// somebody who learns the secret later.
//
// The secret is used as it is, without stretching: one that can be guessed can be guessed offline by whoever records a
// handshake. 16 random bytes (openssl rand -hex 16) cannot.
package peertls

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrNoSecret is returned for the empty secret.
var ErrNoSecret = errors.New("no secret to derive keys from")

// ServerName is the name that every peer's certificate carries. Peers are told apart by address and by what they say inside
// the connection, not by certificate: all of them know the same secret.
const ServerName = "peer.quorate.internal"

// keyContext separates this key from whatever else is derived from the same secret; a new version breaks compatibility.
const keyContext = "quorate peer tls authority v1"

// All certificates are valid for ever, and every check is made as of one moment in between: hosts whose clocks are wrong must
// still be able to talk about it, and a certificate of a process dies with it.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // "no expiry" of RFC 5280, section 4.1.2.5
	checkedAt  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// TLSFromSecret returns the two ends of mutual TLS among all who know secret. Each call makes a new key for this process.
func TLSFromSecret(secret string) (server, client *tls.Config, err error) {
	if secret == "" {
		return nil, nil, ErrNoSecret
	}
	authority, key, err := deriveAuthority(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("peer TLS: derive the authority: %w", err)
	}
	leaf, err := signLeaf(authority, key)
	if err != nil {
		return nil, nil, fmt.Errorf("peer TLS: sign a certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	base := &tls.Config{
		Certificates: []tls.Certificate{leaf},
		MinVersion:   tls.VersionTLS13,
		Time:         func() time.Time { return checkedAt },
		// A resumed session would save little between peers that stay connected, and live by clocks.
		SessionTicketsDisabled: true,
	}
	server, client = base, base.Clone()
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool
	client.RootCAs, client.ServerName = pool, ServerName
	return server, client, nil
}

// deriveAuthority is the same for the same secret, to the byte: Ed25519 signs without randomness.
func deriveAuthority(secret string) (*x509.Certificate, ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, keyContext, ed25519.SeedSize)
	if err != nil {
		return nil, nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "quorate peers"},
		NotBefore:             validFrom,
		NotAfter:              validUntil,
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// signLeaf makes this process's own certificate.
func signLeaf(authority *x509.Certificate, key ed25519.PrivateKey) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "quorate peer"},
		DNSNames:     []string{ServerName},
		NotBefore:    validFrom,
		NotAfter:     validUntil,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, public, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
