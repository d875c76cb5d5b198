package proxy

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLSOptions make a listener end its clients' TLS itself; the connection to the backend is then plain. Without them TLS passes
// through, which is the better choice wherever the servers have certificates: client certificates and channel binding only work
// that way, and encrypted sessions stay secret to the router's host.
type TLSOptions struct {
	CertFile, KeyFile string // PEM; read again when they change
	Require           bool   // turn clients away that do not ask for TLS
}

// recheck is how often, at most, the files are looked at.
const recheck = time.Second

// certificate is a pair of files, as of their last change. A change that cannot be read leaves the old one in use: half-written
// files are what a renewal looks like from outside.
type certificate struct {
	opts   TLSOptions
	failed func(error)

	mu      sync.Mutex // guards what follows
	pair    *tls.Certificate
	stamps  [2]time.Time
	checked time.Time
}

// loadCertificate reads the files once; failed is told of later failures.
func loadCertificate(o TLSOptions, failed func(error)) (*certificate, error) {
	c := &certificate{opts: o, failed: failed}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificate) load() error {
	stamps, err := c.modified()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.opts.CertFile, c.opts.KeyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.opts.CertFile, c.opts.KeyFile, err)
	}
	c.pair, c.stamps = &pair, stamps
	return nil
}

func (c *certificate) modified() (stamps [2]time.Time, err error) {
	for i, f := range []string{c.opts.CertFile, c.opts.KeyFile} {
		info, err := os.Stat(f)
		if err != nil {
			return stamps, fmt.Errorf("certificate: %w", err)
		}
		stamps[i] = info.ModTime()
	}
	return stamps, nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= recheck {
		c.checked = time.Now()
		if stamps, err := c.modified(); err != nil || stamps != c.stamps {
			if err == nil {
				err = c.load()
			}
			if err != nil {
				c.failed(err)
			}
		}
	}
	return c.pair, nil
}

// config is a server's side as PostgreSQL 17 has it: at least TLS 1.2, and the protocol name that direct TLS asks for.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}}
}
