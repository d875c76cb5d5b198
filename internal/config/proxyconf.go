package config

import (
	"fmt"
	"strings"
)

var targets = []string{"primary", "replica", "sync", "any", "primary-or-replica", "tag"}

// proxy reads the router.
func (p *parser) proxy(s *section) {
	p.c.Proxy = Proxy{
		Zone:           s.text("zone"),
		StartTimeout:   s.duration("start_timeout", 0),
		ConnectTimeout: s.duration("connect_timeout", 0),
		StaleReads:     s.duration("stale_reads", 0),
		AccessLog:      s.bool("access_log", false),
		Listeners:      p.listeners(s),
	}
	s.unknown()
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
	var out []Listener
	names := map[string]bool{}
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
		names[listener.Name] = true
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
		Balance:           s.oneOf("balance", "leastconn", "roundrobin", "random", "nearest"),
		MaximumLag:        s.bytes("maximum_lag", 0),
		MaximumLagTime:    s.duration("maximum_lag_time", 0),
		FallbackToPrimary: s.bool("fallback_to_primary", false),
		HoldTimeout:       s.duration("hold_timeout", 0),
		HoldClients:       s.atLeast("hold_clients", 0, 0),
		MaxSessions:       s.atLeast("max_sessions", 0, 0),
		MaxPerBackend:     s.atLeast("max_per_backend", 0, 0),
		MaxPerClient:      s.atLeast("max_per_client", 0, 0),
	}
	l.Name = s.textOr("name", l.Target)
	l.Listen = p.listenerAddress(s)
	if l.Target == "tag" && l.Tag == "" {
		s.missing("tag", "a tag's name, or name=value, as target is tag")
	}
	if l.MaximumLag < 0 || l.MaximumLagTime < 0 {
		s.bad("maximum_lag", "0 (no limit) or more")
	}
	s.unknown()
	return l
}

// listenerAddress reads host:port, or the path of a UNIX socket.
func (p *parser) listenerAddress(s *section) string {
	text := s.text("listen")
	if strings.HasPrefix(text, "/") {
		return text
	}
	host, port, ok := splitHostPort(text, 0)
	switch {
	case text == "":
		s.missing("listen", "host:port, for example '*:5000'")
		return ""
	case !ok:
		s.bad("listen", "host:port, for example '*:5000', or the path of a UNIX socket")
		return ""
	}
	p.mine(s, "listen", host)
	return joinHostPort(host, port)
}
