package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// endpoint is a port that this host will listen on.
type endpoint struct {
	key, host string
	port      int
}

// collisions finds ports that are wanted twice and folders that lie in each other.
func (p *parser) collisions() {
	var taken []endpoint
	for _, e := range p.c.endpoints() {
		for _, o := range taken {
			if o.port == e.port && (o.host == e.host || isWildcard(o.host) || isWildcard(e.host)) {
				p.wrong(p.c.At(e.key), e.key, "port "+strconv.Itoa(e.port), fmt.Sprintf("a port that %s does not use", o.key))
			}
		}
		taken = append(taken, e)
	}
	p.folders()
}

// endpoints are all ports that the host's roles listen on.
func (c *Config) endpoints() []endpoint {
	var out []endpoint
	add := func(key, hostPort string) {
		if host, number, err := net.SplitHostPort(hostPort); err == nil {
			if port, err := strconv.Atoi(number); err == nil {
				out = append(out, endpoint{key, host, port})
			}
		}
	}
	if c.Roles.Store {
		out = append(out, endpoint{"store.client_port", c.Store.Listen, c.Store.ClientPort},
			endpoint{"store.peer_port", c.Store.Listen, c.Store.PeerPort})
	}
	if c.Gossip.Enabled {
		add("gossip.listen", c.Gossip.Listen)
	}
	add("restapi.listen", c.REST.Listen)
	if c.Roles.Postgres {
		for _, h := range c.PostgreSQL.Listen {
			out = append(out, endpoint{"postgresql.listen", h, c.PostgreSQL.Port})
		}
	}
	add("proxy.stats_listen", c.Proxy.StatsListen)
	for i, l := range c.Proxy.Listeners {
		add(fmt.Sprintf("proxy.listeners[%d].listen", i), l.Listen)
	}
	return out
}

// folders keeps the store out of the database's folder: pg_rewind, a base backup and a fresh clone treat all in it as PostgreSQL's.
func (p *parser) folders() {
	store, data := p.c.Store.DataDir, p.c.PostgreSQL.DataDir
	if store == "" || data == "" {
		return
	}
	if within(store, data) || within(data, store) {
		p.wrong(p.c.At("store.data_dir"), "store.data_dir", quoteText(store), "a folder apart from postgresql.data_dir ("+data+")")
	}
}

func within(inner, outer string) bool {
	rel, err := filepath.Rel(outer, inner)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func quoteText(s string) string { return strconv.Quote(s) }
