package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
)

var (
	targets  = []string{"primary", "replica", "sync", "any", "primary-or-replica", "tag"}
	balances = []string{"leastconn", "roundrobin", "random", "nearest", "source"}
)

// Nobody is what a time limit of 0 means where it bounds waiting: nobody waits.
const Nobody = -1 * time.Second

// proxy reads the router. Times and counts that are not written stay 0: they are the router's own defaults, which docs/router.md tells.
func (p *parser) proxy(s *section) {
	p.c.Proxy = Proxy{
		Zone:              s.text("zone"),
		MaxSessions:       s.bounded("max_sessions", 0, 0, 1<<20),
		StartTimeout:      s.positive("start_timeout"),
		ConnectTimeout:    s.positive("connect_timeout"),
		LingerTimeout:     s.positive("linger_timeout"),
		StaleReads:        s.positiveOrNone("stale_reads"),
		Drain:             s.drain(),
		DrainTimeout:      s.positiveOrNone("drain_timeout"),
		UpgradeTimeout:    s.positiveOrNone("upgrade_timeout"),
		KeepAliveIdle:     s.positive("tcp_keepalives_idle"),
		KeepAliveInterval: s.positive("tcp_keepalives_interval"),
		KeepAliveCount:    s.bounded("tcp_keepalives_count", 0, 1, 127),
		UserTimeout:       s.positive("tcp_user_timeout"),
		AccessLog:         s.bool("access_log", false),
		StatsListen:       p.statsListen(s),
		Listeners:         p.listeners(s),
	}
	s.unknown()
}

// maxDrain bounds how long sessions hold a planned change up: whoever asked for it waits, and so does a host that is to stop.
const maxDrain = 5 * time.Minute

func (s *section) drain() time.Duration {
	return read(s, "drain", 0, func(v any) (time.Duration, error) {
		d, err := dynamic.Duration(v, time.Second)
		if err != nil || d < 0 || d > maxDrain {
			return 0, errors.New("0 (not at all) or a time of up to 5min, for example 5s")
		}
		return d, nil
	})
}

// positive reads a time that must be more than nothing; 0 when it was not written.
func (s *section) positive(key string) time.Duration {
	return read(s, key, 0, func(v any) (time.Duration, error) {
		d, err := dynamic.Duration(v, time.Second)
		if err != nil || d <= 0 {
			return 0, errors.New("a time of more than 0, for example 10s")
		}
		return d, nil
	})
}

// positiveOrNone reads a time for which 0 means "not at all", given as [Nobody]; 0 when it was not written.
func (s *section) positiveOrNone(key string) time.Duration {
	return read(s, key, 0, func(v any) (time.Duration, error) {
		d, err := dynamic.Duration(v, time.Second)
		switch {
		case err != nil || d < 0:
			return 0, errors.New("0 (not at all) or a time, for example 10s")
		case d == 0:
			return Nobody, nil
		}
		return d, nil
	})
}

// statsListen reads where HAProxy's statistics are served besides on the API's port.
func (p *parser) statsListen(s *section) string {
	text := s.text("stats_listen")
	if text == "" {
		return ""
	}
	host, port, ok := splitHostPort(text, 0)
	if !ok || port == 0 {
		s.bad("stats_listen", "host:port, for example '127.0.0.1:7000'")
		return ""
	}
	p.mine(s, "stats_listen", host)
	return joinHostPort(host, port)
}

// listeners reads the router's ports. Without any it has the two that an HAProxy before a Patroni cluster usually has.
func (p *parser) listeners(s *section) []Listener {
	t := s.raw("listeners")
	if t == nil {
		return []Listener{
			{Name: "primary", Listen: p.routerHost() + ":5000", Target: "primary", Balance: "leastconn"},
			{Name: "replica", Listen: p.routerHost() + ":5001", Target: "replica", Balance: "leastconn"},
		}
	}
	if t.kind != isList {
		s.bad("listeners", "a list of {name, listen, target}")
		return nil
	}
	if len(t.items) == 0 {
		s.bad("listeners", "at least one {name, listen, target}; a host without a router leaves proxy out of its roles")
	}
	var out []Listener
	names, addresses := map[string]bool{}, map[string]string{}
	for i, item := range t.items {
		l := s.findings.section(fmt.Sprintf("proxy.listeners[%d]", i), item, item.at)
		if item.kind != isMap {
			s.wrong(item.at, l.path, quote(item), "settings of the form {name, listen, target}")
			continue
		}
		listener := p.listener(l)
		if names[listener.Name] {
			l.bad("name", "a name that no other listener has")
		}
		if other := addresses[listener.Listen]; other != "" && strings.HasPrefix(listener.Listen, "/") { // ports are checked with all others
			l.bad("listen", "an address that no other listener has (the listener "+other+" has this one)")
		}
		names[listener.Name], addresses[listener.Listen] = true, listener.Name
		out = append(out, listener)
	}
	return out
}

// routerHost keeps the router of a host that is on its own to that host.
func (p *parser) routerHost() string {
	if isLoopback(p.c.Address) {
		return p.c.Address
	}
	return wildcard
}

func (p *parser) listener(s *section) Listener {
	l := Listener{
		Target:            s.oneOf("target", targets...),
		Tag:               s.text("tag"),
		Balance:           s.oneOf("balance", balances...),
		MaximumLag:        s.bytes("maximum_lag", 0),
		MaximumLagTime:    s.duration("maximum_lag_time", 0),
		FallbackToPrimary: s.bool("fallback_to_primary", false),
		HoldTimeout:       s.positiveOrNone("hold_timeout"),
		HoldClients:       s.bounded("hold_clients", 0, 1, 1<<20),
		HoldBytes:         s.bytes("hold_bytes", 0),
		MaxSessions:       s.bounded("max_sessions", 0, 0, 1<<20),
		MaxPerBackend:     s.bounded("max_per_backend", 0, 0, 1<<20),
		MaxPerClient:      s.bounded("max_per_client", 0, 0, 1<<20),
		ProxyFrom:         s.prefixes("accept_proxy_from"),
		SendProxy:         s.oneOf("send_proxy", "off", "v2") == "v2",
		TLS:               listenerTLS(s),
	}
	l.Name = s.textOr("name", l.Target)
	l.Listen = p.listenerAddress(s)
	l.check(s)
	s.unknown()
	return l
}

// check reports settings that say nothing together.
func (l Listener) check(s *section) {
	if l.Target == "tag" && l.Tag == "" {
		s.missing("tag", "a tag's name, or name=value, as target is tag")
	}
	if l.Target != "tag" && l.Tag != "" {
		s.bad("tag", "nothing, as target is "+l.Target+" (or target: tag)")
	}
	if l.MaximumLag < 0 {
		s.bad("maximum_lag", "0 (no limit) or a size, for example 16MB")
	}
	if l.MaximumLagTime < 0 {
		s.bad("maximum_lag_time", "0 (no limit) or a time, for example 10s")
	}
	if s.has("hold_bytes") && l.HoldBytes < 64<<10 {
		s.bad("hold_bytes", "64kB or more: one client's first packets may be that long")
	}
	if l.Target == "primary" {
		for _, key := range []string{"maximum_lag", "maximum_lag_time", "fallback_to_primary"} {
			if t := s.tree.get(key); t != nil && fmt.Sprint(t.plain()) != "0" && fmt.Sprint(t.plain()) != "false" {
				s.warn(s.place(key), s.name(key), "it has no effect, as target is primary")
			}
		}
	}
}

// prefixes reads addresses and networks.
func (s *section) prefixes(key string) (out []netip.Prefix) {
	for _, text := range s.list(key) {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		n, err := netip.ParsePrefix(text)
		if err != nil {
			s.wrong(s.place(key), s.name(key), quoteText(text), "an address or a network, for example 10.0.0.0/24")
			continue
		}
		out = append(out, n.Masked())
	}
	return out
}

// listenerTLS reads the certificate of a listener that ends TLS; nil: TLS passes through.
func listenerTLS(s *section) *ListenerTLS {
	sub := s.sub("tls")
	if sub.tree == nil {
		return nil
	}
	t := &ListenerTLS{CertFile: sub.text("certfile"), KeyFile: sub.text("keyfile"), Require: sub.bool("require", false)}
	if t.CertFile == "" {
		sub.missing("certfile", "the certificate (PEM) that clients are shown")
	}
	if t.KeyFile == "" {
		t.KeyFile = t.CertFile // one file with both, as HAProxy's crt
	}
	sub.unknown()
	return t
}

// listenerAddress reads host:port, or the path of a UNIX socket.
func (p *parser) listenerAddress(s *section) string {
	const expected = "host:port, for example '*:5000' or '[::1]:5000', or the path of a UNIX socket"
	text := s.text("listen")
	if strings.HasPrefix(text, "/") {
		if text = path.Clean(text); len(text) > maxSocketPath {
			s.bad("listen", fmt.Sprintf("a path of at most %d bytes, which is all that the kernel takes for a socket", maxSocketPath))
		}
		return text
	}
	host, port, ok := splitHostPort(text, 0)
	switch {
	case text == "":
		s.missing("listen", expected)
		return ""
	case !ok || port == 0:
		s.bad("listen", expected)
		return ""
	}
	p.mine(s, "listen", host)
	return joinHostPort(host, port)
}

// maxSocketPath is the length of sockaddr_un's sun_path without its end (unix(7)).
const maxSocketPath = 107
