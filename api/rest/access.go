package rest

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const resolveTimeout = 2 * time.Second

// policy is a [Config] made ready: who may write, what headers go out, and the certificates. It is replaced as a whole.
type policy struct {
	basic          string // the header Authorization that is asked for; "": none
	allow          []netip.Prefix
	restricted     bool // there is an allow-list, even if nothing in it could be resolved
	includeMembers bool
	needsCert      bool
	tls            *tls.Config
	headers        map[string]string
	server         string
}

func (s *Server) newPolicy(c Config) (*policy, error) {
	p := &policy{
		includeMembers: c.AllowlistIncludeMembers,
		restricted:     len(c.Allowlist) > 0,
		headers:        map[string]string{},
		server:         s.serverHeader(c.ServerTokens),
	}
	if c.Username != "" || c.Password != "" {
		p.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	}
	for name, value := range c.HTTPExtraHeaders {
		p.headers[name] = value
	}
	if c.TLS != nil {
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		p.tls, p.needsCert = t, c.TLS.verifies()
		for name, value := range c.HTTPSExtraHeaders {
			p.headers[name] = value
		}
	}
	for _, entry := range c.Allowlist {
		prefixes, err := s.allowed(entry)
		if err != nil {
			return nil, err
		}
		p.allow = append(p.allow, prefixes...)
	}
	return p, nil
}

// serverHeader follows restapi.server_tokens.
func (s *Server) serverHeader(tokens string) string {
	switch strings.ToLower(tokens) {
	case "productonly":
		return "Patroni"
	case "minimal":
		return "Patroni/" + s.opt.Backend.Status().Version
	case "", "original":
	default:
		s.opt.Logger.Warn("restapi.server_tokens is none of original, minimal and productonly; original is taken", "found", tokens)
	}
	return s.opt.Product
}

// allowed reads one entry of the allow-list: an address, a range, or a name. A name that cannot be resolved is left out with a
// warning, because the resolver may only be late.
func (s *Server) allowed(entry string) ([]netip.Prefix, error) {
	if strings.Contains(entry, "/") {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("restapi.allowlist: %q is no address range, for example 10.0.0.0/8: %w", entry, err)
		}
		return []netip.Prefix{prefix.Masked()}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	addrs, err := resolve(ctx, entry)
	if err != nil {
		s.opt.Logger.Warn("entry of restapi.allowlist left out: it cannot be resolved", "host", entry, "error", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

// resolve gives the addresses of a host; of one that is written as an address, that one.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap().WithZone("")
	}
	return addrs, err
}

// denial is why a request may not write; its text is Patroni's.
type denial struct {
	code int
	text string
}

// audience says to whom a write is open besides the allow-list.
type audience int

const (
	// operators: the members' addresses count if allowlist_include_members says so.
	operators audience = iota
	// peers: requests of the other nodes, which Patroni's agents send too. The members' addresses count as soon as there is an allow-list,
	// and are not asked for when there is none: while the store is away nobody can tell who is a member.
	peers
)

// check decides in Patroni's order: address, certificate, password. Before that, a browser must not write for a page of somebody
// else's: it would send the password that it remembers for /v1/ui. Nil: the request may write.
func (s *Server) check(r *http.Request, who audience) *denial {
	p := s.policy.Load()
	if err := s.origins.Check(r); err != nil {
		return &denial{http.StatusForbidden, "Access is denied: " + err.Error()}
	}
	switch {
	case !s.addressAllowed(r, p, who):
		return &denial{http.StatusForbidden, "Access is denied"}
	case p.needsCert && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0):
		return &denial{http.StatusForbidden, "client certificate required"}
	}
	header := r.Header.Get("Authorization")
	switch {
	case p.basic == "":
		return nil
	case header == "":
		return &denial{http.StatusUnauthorized, "no auth header received"}
	case subtle.ConstantTimeCompare([]byte(header), []byte(p.basic)) != 1:
		return &denial{http.StatusUnauthorized, "not authenticated"}
	}
	return nil
}

func (s *Server) addressAllowed(r *http.Request, p *policy, who audience) bool {
	if !p.restricted && (!p.includeMembers || who == peers) {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := from.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(p.allow, func(n netip.Prefix) bool { return n.Contains(addr) }) {
		return true
	}
	return (p.includeMembers || who == peers) && s.isMember(r.Context(), addr)
}

// isMember says whether an address is the API's of a member.
func (s *Server) isMember(ctx context.Context, addr netip.Addr) bool {
	c := s.opt.Backend.Cluster()
	if c == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	for _, m := range c.Members {
		u, err := url.Parse(m.APIURL)
		if err != nil || u.Hostname() == "" {
			continue
		}
		addrs, err := resolve(ctx, u.Hostname())
		if err != nil {
			s.opt.Logger.Debug("member's address not resolved", "member", m.Name, "error", err)
		}
		if slices.Contains(addrs, addr) {
			return true
		}
	}
	return false
}
