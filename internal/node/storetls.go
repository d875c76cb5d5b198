package node

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/peertls"
	"quorate/raftstore"
)

// membersTLS is how members of the store trust each other: by the certificates of store.tls, else by gossip.secret; nil without both.
func membersTLS(c *config.Config) (*raftstore.PeerTLS, error) {
	if t := c.Store.PeerTLS; t.Enabled() {
		server, err := serverTLS("store.tls", t)
		if err != nil {
			return nil, err
		}
		server.ClientAuth = tls.RequireAndVerifyClientCert // Raft's messages carry no proof of who sent them
		conf, err := clientTLS("store.tls", t)
		if err != nil {
			return nil, err
		}
		return &raftstore.PeerTLS{Server: server, Client: conf}, nil
	}
	if c.Gossip.Secret == "" {
		return nil, nil
	}
	server, conf, err := peertls.TLSFromSecret(c.Gossip.Secret)
	if err != nil {
		return nil, err
	}
	return &raftstore.PeerTLS{Server: server, Client: conf}, nil
}

// serverTLS is the side of a port that is served; nil without a certificate.
func serverTLS(key string, t config.TLS) (*tls.Config, error) {
	if !t.Enabled() {
		return nil, nil
	}
	p, err := readPair(key, t)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12, ClientCAs: certPool(t.CAFile),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.now(), nil },
	}
	switch t.VerifyClient {
	case "required":
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return conf, nil
}

// clientTLS is the side of a port that connects to it: it shows the certificate, if there is one, and trusts cafile, else the system's authorities.
func clientTLS(key string, t config.TLS) (*tls.Config, error) {
	conf, err := client.TLSFiles{CACert: t.CAFile}.Config()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if !t.Enabled() {
		return conf, nil
	}
	p, err := readPair(key, t)
	if err != nil {
		return nil, err
	}
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.now(), nil }
	return conf, nil
}

// pair is a certificate and its key, read anew for each connection: one that was renewed is in use without a restart.
type pair struct {
	files client.TLSFiles
	last  atomic.Pointer[tls.Certificate] // stays in use while the files cannot be read, or do not fit each other yet
}

func readPair(key string, t config.TLS) (*pair, error) {
	p := &pair{files: client.TLSFiles{CertFile: t.CertFile, KeyFile: t.KeyFile, KeyPassword: t.KeyFilePassword}}
	if err := p.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return p, nil
}

func (p *pair) read() error {
	conf, err := p.files.Config()
	if err == nil {
		p.last.Store(&conf.Certificates[0])
	}
	return err
}

func (p *pair) now() *tls.Certificate {
	_ = p.read() // then the last one that could be read serves
	return p.last.Load()
}
