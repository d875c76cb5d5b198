package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// CheckFiles opens every file that the configuration names, as a start would later: a certificate that is missing, or that this user may
// not read, is better known before anything runs. The error is an *[Error].
func (c *Config) CheckFiles() error {
	var f findings
	for _, file := range c.files() {
		if file.path == "" {
			continue
		}
		if err := readable(file.path); err != nil {
			f.wrong(c.At(file.key), file.key, quoteText(file.path), fmt.Sprintf("a file that can be read (%v)", err))
		}
	}
	if dir, ok := c.tree.get("postgresql").get("bin_dir").plain().(string); ok && c.Roles.Postgres {
		if err := readable(filepath.Join(dir, c.postgresName())); err != nil {
			f.wrong(c.At("postgresql.bin_dir"), "postgresql.bin_dir", quoteText(dir), fmt.Sprintf("a folder with PostgreSQL's programs (%v)", err))
		}
	}
	if file := c.PostgreSQL.PgPass; file != "" && c.Roles.Postgres {
		if fi, err := os.Stat(filepath.Dir(file)); err != nil || !fi.IsDir() {
			f.wrong(c.At("postgresql.pgpass"), "postgresql.pgpass", quoteText(file), "a file in a folder that is there")
		}
	}
	return f.err()
}

// CheckPorts listens for a moment on every port that a start would listen on. The error is an *[Error].
func (c *Config) CheckPorts() error {
	var f findings
	for _, e := range c.endpoints() {
		host := e.host
		if isWildcard(host) {
			host = ""
		}
		l, err := net.Listen("tcp", joinHostPort(host, e.port))
		if err != nil {
			f.wrong(c.At(e.key), e.key, "port "+strconv.Itoa(e.port), fmt.Sprintf("a port that is free (%v)", err))
			continue
		}
		l.Close()
	}
	return f.err()
}

func (c *Config) postgresName() string {
	if name, ok := c.tree.get("postgresql").get("bin_name").get("postgres").plain().(string); ok && name != "" {
		return name
	}
	return "postgres"
}

type namedFile struct{ key, path string }

func (c *Config) files() []namedFile {
	out := []namedFile{
		{"restapi.certfile", c.REST.TLS.CertFile}, {"restapi.keyfile", c.REST.TLS.KeyFile}, {"restapi.cafile", c.REST.TLS.CAFile},
		{"ctl.certfile", c.CTL.CertFile}, {"ctl.keyfile", c.CTL.KeyFile}, {"ctl.cacert", c.CTL.CACert},
		{"store.tls.certfile", c.Store.PeerTLS.CertFile}, {"store.tls.keyfile", c.Store.PeerTLS.KeyFile},
		{"store.tls.cafile", c.Store.PeerTLS.CAFile}, {"store.client_tls.certfile", c.Store.ClientTLS.CertFile},
		{"store.client_tls.keyfile", c.Store.ClientTLS.KeyFile}, {"store.client_tls.cafile", c.Store.ClientTLS.CAFile},
	}
	for i, l := range c.Proxy.Listeners {
		if l.TLS != nil {
			at := fmt.Sprintf("proxy.listeners[%d].tls.", i)
			out = append(out, namedFile{at + "certfile", l.TLS.CertFile}, namedFile{at + "keyfile", l.TLS.KeyFile})
		}
	}
	if e := c.Etcd; e != nil {
		section := e.Section()
		out = append(out, namedFile{section + ".cacert", e.CACert}, namedFile{section + ".cert", e.Cert}, namedFile{section + ".key", e.Key})
	}
	return out
}

func readable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}
