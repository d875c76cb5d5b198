package config

import (
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
)

// gossip reads how hosts find each other. A host on a foreign etcd needs none, unless the section is written.
func (p *parser) gossip(top *section) {
	s := top.sub("gossip")
	g := &p.c.Gossip
	g.Enabled = s.tree != nil || p.c.Etcd == nil
	g.Secret = s.secret("secret")
	g.Insecure = s.bool("insecure", false)
	host, port, written := s.hostPort("listen", gossipPort)
	if written {
		p.mine(s, "listen", host)
	} else {
		host = p.c.Address
	}
	g.Listen = joinHostPort(host, port)
	g.Advertise = joinHostPort(p.c.Address, port)
	if to, port, ok := s.hostPort("advertise", port); ok {
		g.Advertise = joinHostPort(to, port)
	}
	for _, peer := range s.list("join") {
		to, port, ok := splitHostPort(peer, gossipPort)
		if !ok || isWildcard(to) {
			s.wrong(s.place("join"), "gossip.join", dynamic.Quote(peer), "a host, or host:port")
			continue
		}
		g.Join = append(g.Join, joinHostPort(to, port))
	}
	s.unknown()
	p.checkGossip(s, host)
}

func (p *parser) checkGossip(s *section, host string) {
	g := &p.c.Gossip
	if !g.Enabled {
		return
	}
	if g.Secret == "" && !g.Insecure && !isLoopback(host) {
		s.missing("secret", "any text, the same on all hosts: it encrypts what hosts and store members tell each other (or insecure: true, to go without)")
	}
	if len(g.Join) == 0 && p.c.Etcd == nil && !p.c.Roles.Store {
		s.missing("join", "the addresses of the hosts that hold the store, as this one does not (roles: "+p.c.Roles.String()+")")
	}
}

// store reads the member of our own store.
func (p *parser) store(s *section) {
	st := &p.c.Store
	st.ElectionTimeout = DefaultElection
	if st.DataDir = p.folder(s, "data_dir"); st.DataDir == "" {
		st.DataDir = p.defaultStoreDir()
	}
	st.Listen = p.storeListen(s)
	st.ClientPort = s.port("client_port", etcdPort)
	st.PeerPort = s.port("peer_port", etcdPeerPort)
	st.Expect = p.expect(s)
	st.ElectionTimeout = s.duration("election_timeout", DefaultElection)
	if st.ElectionTimeout < 50*time.Millisecond || st.ElectionTimeout > 10*time.Second {
		s.bad("election_timeout", "a time from 50ms to 10s")
		st.ElectionTimeout = DefaultElection
	}
	st.Quota = s.bytes("quota", 2<<30)
	if st.Quota < 16<<20 {
		s.bad("quota", "16MB or more")
	}
	st.Origins = s.origins("cors")
	tls, clientTLS := s.sub("tls"), s.sub("client_tls")
	st.PeerTLS, st.ClientTLS = tlsFiles(tls), tlsFiles(clientTLS)
	switch {
	case st.PeerTLS.Enabled() && st.PeerTLS.CAFile == "":
		tls.missing("cafile", "the authority that signs the certificates of all members: they prove to each other who they are")
	case !st.PeerTLS.Enabled() && st.PeerTLS.CAFile != "":
		tls.missing("certfile", "this member's certificate")
	}
	if !st.ClientTLS.Enabled() && st.ClientTLS.CAFile != "" {
		clientTLS.missing("certfile", "this member's certificate: without one its port is not encrypted")
	}
	s.unknown()
}

// origins reads a list of web origins, as browsers write them, or "*".
func (s *section) origins(key string) (out []string) {
	for _, text := range s.list(key) {
		u, err := url.Parse(strings.TrimSuffix(text, "/"))
		switch {
		case text == "*":
			out = append(out, text)
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}):
			s.wrong(s.place(key), s.name(key), dynamic.Quote(text), "an origin, as https://ui.example or http://10.0.0.9:8080, or *")
		default:
			out = append(out, strings.ToLower(u.String()))
		}
	}
	return out
}

// storeOrOthers reads the store's section. A host without a member of its own takes from it how the others' are spoken to: whom to trust, and
// what to show them.
func (p *parser) storeOrOthers(top *section) {
	t := top.tree.get("store")
	if p.c.Roles.Store || p.c.Etcd != nil || t.get("client_tls") == nil {
		p.ifHeld(top, "store", p.c.Roles.Store, p.store)
		return
	}
	p.note(t.at, "store", "ignored but for client_tls: this host has the roles %s", p.c.Roles)
	p.c.Store.ClientTLS = tlsFiles(top.sub("store").sub("client_tls"))
}

// DefaultElection is the election timeout of a store whose configuration names none.
const DefaultElection = 500 * time.Millisecond

func (p *parser) defaultStoreDir() string {
	if p.in.Host.UID == 0 || p.in.Host.Home == "" {
		return "/var/lib/quorate/store"
	}
	return filepath.Join(p.in.Host.Home, ".local/state/quorate/store")
}

func (p *parser) storeListen(s *section) string {
	text := s.text("listen")
	if text == "" {
		return p.c.Address
	}
	host, _, ok := splitHostPort(text, etcdPort)
	if _, _, port := cutLast(text, ":"); !ok || port && host != text && "["+host+"]" != text {
		s.bad("listen", "an address without port (client_port and peer_port are settings of their own)")
		return p.c.Address
	}
	p.mine(s, "listen", host)
	return host
}

// expect is how many store hosts found the cluster. A host that knows others and is not told how many must not found one of its own.
func (p *parser) expect(s *section) int {
	if !s.has("expect") {
		s.known = append(s.known, "expect")
		if len(p.c.Gossip.Join) == 0 {
			return 1
		}
		p.note(s.place("expect"), "store.expect", "not set: this host joins a cluster that exists, and never founds one")
		return 0
	}
	n := s.bounded("expect", 1, 1, 9)
	if n%2 == 0 {
		p.warn(s.place("expect"), "store.expect", "%d store hosts survive the loss of no more of them than %d do", n, n-1)
	}
	return n
}

// tlsFiles reads a section of files.
func tlsFiles(s *section) TLS {
	t := readTLS(s)
	s.unknown()
	return t
}

// readTLS reads the files of a server, by the names that Patroni gives them in restapi.
func readTLS(s *section) TLS {
	t := TLS{
		CertFile:        s.text("certfile"),
		KeyFile:         s.text("keyfile"),
		KeyFilePassword: s.text("keyfile_password"),
		CAFile:          s.text("cafile"),
		VerifyClient:    s.oneOf("verify_client", "none", "optional", "required"),
	}
	switch {
	case t.KeyFile != "" && t.CertFile == "":
		s.missing("certfile", "the certificate that belongs to keyfile")
	case t.VerifyClient != "none" && t.CAFile == "":
		s.missing("cafile", "the authority that signs clients' certificates, as verify_client is "+t.VerifyClient)
	case t.VerifyClient != "none" && t.CertFile == "":
		s.missing("certfile", "a certificate, as verify_client works over TLS only")
	}
	return t
}
