package etcdhost

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"
)

// TLS is what one port's options say. The files are read again at each handshake.
type TLS struct {
	Cert, Key, ClientCert, ClientKey, CA, CRL string
	ClientAuth, Auto                          bool
	AllowedCN, AllowedHost                    string
	Ciphers                                   []uint16
	Min, Max                                  uint16 // versions; 0: the library's
	years                                     int64
}

func (t TLS) given() bool { return t.Auto || t.Cert != "" }

func (v *values) secure(c *Config) error {
	ciphers, err := tlsutilCiphers(v.get("cipher-suites"))
	if err != nil {
		return err
	}
	lowest, highest, err := v.tlsVersions()
	if err != nil {
		return err
	}
	var years int64
	if err := v.number("self-signed-cert-validity", &years); err != nil {
		return err
	}
	for _, p := range []struct {
		prefix, crl, host, auth string
		to                      *TLS
	}{
		{"", "client-crl-file", "client-cert-allowed-hostname", "client-cert-auth", &c.ClientTLS},
		{"peer-", "peer-crl-file", "peer-cert-allowed-hostname", "peer-client-cert-auth", &c.PeerTLS},
	} {
		t := TLS{
			Cert: v.get(p.prefix + "cert-file"), Key: v.get(p.prefix + "key-file"), CA: v.get(p.prefix + "trusted-ca-file"),
			ClientCert: v.get(p.prefix + "client-cert-file"), ClientKey: v.get(p.prefix + "client-key-file"),
			CRL: v.get(p.crl), AllowedHost: v.get(p.host), Ciphers: ciphers, Min: lowest, Max: highest, years: years,
		}
		if ca := v.get(p.prefix + "ca-file"); ca != "" && t.CA == "" {
			t.CA, t.ClientAuth = ca, true // the old name asks for client certificates as well
		}
		if p.prefix != "" {
			t.AllowedCN = v.get("peer-cert-allowed-cn")
		}
		auth := false
		if err := errors.Join(v.boolean(p.auth, &auth), v.boolean(p.prefix+"auto-tls", &t.Auto)); err != nil {
			return err
		}
		t.ClientAuth = t.ClientAuth || auth
		t.Auto = t.Auto && t.Cert == ""
		if (t.Cert == "") != (t.Key == "") {
			return fmt.Errorf("--%scert-file and --%skey-file must both be given [key: %s, cert: %s]", p.prefix, p.prefix, t.Key, t.Cert)
		}
		*p.to = t
	}
	return nil
}

// tlsVersions reads which versions of TLS are spoken: TLS1.2 and TLS1.3 are there to choose of.
func (v *values) tlsVersions() (lowest, highest uint16, err error) {
	if lowest, err = tlsutil.GetTLSVersion(v.get("tls-min-version")); err != nil {
		return 0, 0, fmt.Errorf("--tls-min-version: %w", err)
	}
	if highest, err = tlsutil.GetTLSVersion(v.get("tls-max-version")); err != nil {
		return 0, 0, fmt.Errorf("--tls-max-version: %w", err)
	}
	if highest != 0 && lowest > highest {
		return 0, 0, fmt.Errorf("--tls-max-version %s is below --tls-min-version %s", v.get("tls-max-version"), v.get("tls-min-version"))
	}
	return lowest, highest, nil
}

func tlsutilCiphers(s string) (list []uint16, err error) {
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		id, ok := tlsutil.GetCipherSuite(name)
		if !ok {
			return nil, fmt.Errorf("--cipher-suites: unexpected TLS cipher suite %q", name)
		}
		list = append(list, id)
	}
	return list, nil
}

// info is etcd's own form of the settings; certificates that are generated lie in the data folder and stay there.
func (t TLS) info(dataDir, kind string, hosts []string) (transport.TLSInfo, error) {
	if t.Auto {
		dir := filepath.Join(dataDir, "fixtures", kind)
		info, err := transport.SelfCert(zap.NewNop(), dir, hosts, uint(max(t.years, 1)))
		info.CipherSuites, info.MinVersion, info.MaxVersion = t.Ciphers, t.Min, t.Max
		return info, err
	}
	info := transport.TLSInfo{
		CertFile: t.Cert, KeyFile: t.Key, ClientCertFile: t.ClientCert, ClientKeyFile: t.ClientKey, TrustedCAFile: t.CA,
		ClientCertAuth: t.ClientAuth, CipherSuites: t.Ciphers, MinVersion: t.Min, MaxVersion: t.Max, Logger: zap.NewNop(),
	}
	if t.AllowedCN != "" {
		info.AllowedCNs = strings.Split(t.AllowedCN, ",")
	}
	if t.AllowedHost != "" {
		info.AllowedHostnames = strings.Split(t.AllowedHost, ",")
	}
	return info, nil
}

// configs are the two sides of a port.
func (t TLS) configs(dataDir, kind string, hosts []string) (server, client *tls.Config, err error) {
	info, err := t.info(dataDir, kind, hosts)
	if err != nil {
		return nil, nil, fmt.Errorf("%s certificates: %w", kind, err)
	}
	if server, err = info.ServerConfig(); err != nil {
		return nil, nil, fmt.Errorf("%s certificates: %w", kind, err)
	}
	if client, err = info.ClientConfig(); err != nil {
		return nil, nil, fmt.Errorf("%s certificates: %w", kind, err)
	}
	if t.CRL == "" {
		return server, client, nil
	}
	if _, err := revoked(t.CRL); err != nil {
		return nil, nil, err
	}
	server.VerifyConnection = func(s tls.ConnectionState) error { return refuseRevoked(t.CRL, s.PeerCertificates) }
	return server, client, nil
}

// revoked reads a revocation list, DER or PEM.
func revoked(path string) (*x509.RevocationList, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	list, err := x509.ParseRevocationList(b)
	if err != nil {
		return nil, fmt.Errorf("revocation list %s: %w", path, err)
	}
	return list, nil
}

// refuseRevoked fails closed: a list that cannot be read refuses everybody who shows a certificate.
func refuseRevoked(path string, certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return nil
	}
	list, err := revoked(path)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		if slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
			return e.SerialNumber.Cmp(cert.SerialNumber) == 0
		}) {
			return fmt.Errorf("certificate %x is revoked", cert.SerialNumber)
		}
	}
	return nil
}
