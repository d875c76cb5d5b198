package config

import (
	"cmp"
	"net/url"
	"strings"

	"quorate/internal/config/dynamic"
)

// etcd reads Patroni's sections etcd3 (the v3 API) and etcd (the v2 API). A section store wins over them.
func (p *parser) etcd(top *section) {
	for _, d := range []struct {
		key string
		api int
	}{{"etcd3", 3}, {"etcd", 2}} {
		t := top.raw(d.key)
		switch {
		case t == nil:
		case top.has("store") && !p.in.EtcdFirst:
			p.warn(t.at, d.key, "ignored: the section store stands beside it and wins; remove one of the two")
		case p.c.Etcd != nil:
			p.warn(t.at, d.key, "ignored: the section etcd3 stands beside it and wins; remove one of the two")
		default:
			p.c.Etcd = readEtcd(top.sub(d.key), d.api)
			if p.c.Roles.Store {
				p.wrong(t.at, d.key, "the role store beside a foreign store", "a section store (Quorate's own), or roles without store")
			}
		}
	}
}

func readEtcd(s *section, api int) *Etcd {
	e := &Etcd{
		API:         api,
		SRV:         cmp.Or(s.text("srv"), s.text("discovery_srv"), s.text("srv_domain")), // the older names are etcd's own
		SRVSuffix:   s.text("srv_suffix"),
		UseProxies:  s.bool("use_proxies", false),
		Username:    s.text("username"),
		Password:    s.text("password"),
		CACert:      s.text("cacert"),
		Cert:        s.text("cert"),
		Key:         s.text("key"),
		KeyPassword: s.text("key_password"),
	}
	scheme := s.oneOf("protocol", "http", "https")
	e.Endpoints = s.endpoints(scheme)
	if proxy := s.urlOf("proxy"); proxy != nil {
		e.Proxy, e.UseProxies = proxy.String(), true
		e.Endpoints = []string{proxy.String()}
	}
	if !s.has("hosts") && !s.has("host") && !s.has("url") && !s.has("proxy") && e.SRV == "" {
		s.missing("hosts", "where etcd is: one of host, hosts, url, proxy and srv")
	}
	if e.Cert == "" && e.Key != "" {
		s.missing("cert", "the certificate that belongs to key")
	}
	if file := cmp.Or(e.CACert, e.Cert); file != "" && e.SRV == "" && len(e.Endpoints) > 0 && strings.HasPrefix(e.Endpoints[0], "http://") {
		s.note(s.place("protocol"), s.name("protocol"), "it is http: the connection is not encrypted, although there are certificates; write protocol: https")
	}
	s.known = append(s.known, "version_prefix")
	s.unknown()
	return e
}

// endpoints are the URLs of url, hosts and host.
func (s *section) endpoints(scheme string) []string {
	var out []string
	if u := s.urlOf("url"); u != nil {
		if s.text("username") == "" && u.User != nil {
			s.note(s.place("url"), s.name("url"), "the credentials in it are ignored; write username and password")
		}
		u.User = nil
		out = append(out, u.Scheme+"://"+u.Host)
	}
	defaultPort := s.port("port", etcdPort)
	for _, host := range hostsOf(s) {
		if strings.Contains(host, "://") {
			if u, err := url.Parse(host); err == nil && u.Host != "" {
				out = append(out, u.Scheme+"://"+u.Host)
				continue
			}
		}
		name, port, ok := splitHostPort(host, defaultPort)
		if !ok || isWildcard(name) {
			s.wrong(s.place("hosts"), s.path, dynamic.Quote(host), "a host, or host:port")
			continue
		}
		out = append(out, scheme+"://"+joinHostPort(name, port))
	}
	return out
}

// hostsOf lists the settings hosts and host.
func hostsOf(s *section) []string {
	return append(s.list("hosts"), s.list("host")...)
}

func (s *section) urlOf(key string) *url.URL {
	text := s.text(key)
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		s.bad(key, "a URL of the form http://host:port")
		return nil
	}
	return u
}
