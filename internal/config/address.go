package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	gossipPort     = 7946
	restPort       = 8008
	etcdPort       = 2379
	etcdPeerPort   = 2380
	postgresPort   = 5432
	wildcard       = "*"
	loopback       = "127.0.0.1"
	hostPortWanted = "host:port"
)

// splitHostPort reads host, host:port, [v6]:port, :port or a bare IPv6 address. def is the port that is not written; 0 makes it
// required.
func splitHostPort(text string, def int) (host string, port int, ok bool) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && a.Is6() {
		return a.String(), def, def > 0
	}
	host, number, hasPort := cutLast(text, ":")
	if !hasPort {
		return text, def, def > 0 && validHost(text)
	}
	port, err := strconv.Atoi(number)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, false
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" {
		host = wildcard
	}
	return host, port, validHost(host)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// validHost accepts addresses, the wildcard and names.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == wildcard {
		return true
	}
	for _, c := range host {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return host != "" && len(host) <= 253
}

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// isWildcard says whether a host stands for all addresses.
func isWildcard(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == wildcard || host == "" || err == nil && a.IsUnspecified()
}

// isLoopback says whether a host can be reached from itself only.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// hostPort reads an address with its port; a missing one is def.
func (s *section) hostPort(key string, def int) (host string, port int, written bool) {
	text := s.text(key)
	if text == "" {
		return "", def, false
	}
	host, port, ok := splitHostPort(text, def)
	if !ok {
		s.bad(key, hostPortWanted)
		return "", def, false
	}
	return host, port, true
}

// mine refuses an address that this host does not have: the commonest fault of a copied file.
func (p *parser) mine(s *section, key, host string) {
	if isWildcard(host) || isLoopback(host) {
		return
	}
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if p.in.Host.Lookup != nil {
		if addrs = p.in.Host.Lookup(host); len(addrs) == 0 {
			s.bad(key, "an address of this host, or a name that can be resolved")
			return
		}
	}
	for _, a := range addrs {
		if p.in.Host.owns(a) {
			return
		}
	}
	if len(addrs) > 0 {
		s.bad(key, "an address of this host ("+p.ownList()+"); leave it out and it is derived")
	}
}

// ownList shows this host's addresses.
func (p *parser) ownList() string {
	var list []string
	for _, a := range p.in.Host.Addresses {
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			list = append(list, a.String())
		}
	}
	if len(list) == 0 {
		return "it has loopback addresses only"
	}
	return strings.Join(list, ", ")
}

// ownAddress finds the address by which the others know this host: what is written, else the source address on the way to the
// first host to join, else what PostgreSQL or the API are told to be reached by, else the source address on the way to etcd. A host that
// is told nothing about others is on its own and keeps to loopback, unless a secret (or insecure) shows that others will come.
func (p *parser) ownAddress(top *section) {
	store, gossip := quiet(top, "store"), quiet(top, "gossip")
	if !p.c.Roles.Store {
		store.tree = nil
	}
	for _, w := range []struct {
		s   *section
		key string
	}{{gossip, "advertise"}, {gossip, "listen"}, {store, "listen"}} {
		if host, _, ok := splitHostPort(w.s.text(w.key), gossipPort); ok && !isWildcard(host) && w.s.has(w.key) {
			p.c.Address = host
			return
		}
	}
	p.c.Address = p.derivedAddress(top, gossip)
}

func (p *parser) derivedAddress(top, gossip *section) string {
	if a := p.sourceTo(gossip.list("join")); a != "" {
		return a
	}
	for _, name := range []string{"postgresql", "restapi"} {
		s := quiet(top, name)
		if host, _, ok := splitHostPort(s.text("connect_address"), postgresPort); ok && !isWildcard(host) {
			return host
		}
	}
	if p.foreign(top) {
		for _, name := range []string{"etcd3", "etcd"} {
			if a := p.sourceTo(hostsOf(quiet(top, name))); a != "" {
				return a
			}
		}
	}
	if a := p.in.Host.global(); a != "" && (gossip.has("secret") || gossip.has("insecure") || p.foreign(top)) {
		return a
	}
	return loopback
}

// sourceTo is the source address towards the first peer to which there is a way.
func (p *parser) sourceTo(peers []string) string {
	for _, peer := range peers {
		host, _, ok := splitHostPort(peer, gossipPort)
		if !ok || isWildcard(host) {
			continue
		}
		if a := p.in.Host.source(host); a != "" {
			return a
		}
	}
	return ""
}

// quiet is a section for a first look: what is wrong in it is reported when it is read in earnest.
func quiet(top *section, key string) *section {
	t := top.tree.get(key)
	if t != nil && t.kind != isMap {
		t = nil
	}
	return new(findings).section(key, t, top.at)
}
