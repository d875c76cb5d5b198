package config

import (
	"fmt"
	"strings"
)

// masked stands for a value that is not shown.
const masked = "********"

// Show is the configuration as this host understands it: what was written, with what was derived, and without secrets.
func (c *Config) Show() map[string]any {
	out, _ := c.tree.plain().(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	for _, d := range c.derived() {
		put(out, strings.Split(d.path, "."), d.value)
	}
	hide(out)
	return out
}

type setting struct {
	path  string
	value any
}

// derived are the settings that a host completes itself.
func (c *Config) derived() []setting {
	out := []setting{
		{"name", c.Name},
		{"namespace", c.Namespace},
		{"roles", strings.Split(c.Roles.String(), ",")},
		{"restapi.listen", c.REST.Listen},
		{"restapi.connect_address", c.REST.ConnectAddress},
	}
	if c.Roles.Store {
		out = append(out,
			setting{"store.data_dir", c.Store.DataDir}, setting{"store.listen", c.Store.Listen},
			setting{"store.client_port", c.Store.ClientPort}, setting{"store.peer_port", c.Store.PeerPort},
			setting{"store.expect", c.Store.Expect}, setting{"store.election_timeout", c.Store.ElectionTimeout.String()})
	}
	if c.Gossip.Enabled {
		out = append(out, setting{"gossip.listen", c.Gossip.Listen}, setting{"gossip.advertise", c.Gossip.Advertise})
	}
	if c.Roles.Postgres {
		out = append(out,
			setting{"postgresql.listen", fmt.Sprintf("%s:%d", strings.Join(c.PostgreSQL.Listen, ","), c.PostgreSQL.Port)},
			setting{"postgresql.connect_address", c.PostgreSQL.ConnectAddress},
			setting{"watchdog.mode", c.Watchdog.Mode})
	}
	if c.Roles.Proxy && !c.Has("proxy", "listeners") {
		var listeners []any
		for _, l := range c.Proxy.Listeners {
			listeners = append(listeners, map[string]any{"name": l.Name, "listen": l.Listen, "target": l.Target})
		}
		out = append(out, setting{"proxy.listeners", listeners})
	}
	return out
}

func put(m map[string]any, path []string, value any) {
	if len(path) == 1 {
		m[path[0]] = value
		return
	}
	sub, ok := m[path[0]].(map[string]any)
	if !ok {
		sub = map[string]any{}
		m[path[0]] = sub
	}
	put(sub, path[1:], value)
}

// hide masks what must not be seen: passwords, secrets, and passwords in URLs and conninfo strings.
func hide(v any) {
	switch x := v.(type) {
	case []any:
		for _, item := range x {
			hide(item)
		}
	case map[string]any:
		for key, value := range x {
			if value != nil && (secret(key) || carriesSecret(value)) {
				x[key] = masked
				continue
			}
			hide(value)
		}
	}
}

// carriesSecret says whether a text has a password inside: in a connection string, or in a URL.
func carriesSecret(v any) bool {
	text, ok := v.(string)
	_, afterScheme, isURL := strings.Cut(text, "://")
	return ok && (strings.Contains(text, "password=") || isURL && strings.Contains(afterScheme, "@"))
}

func secret(key string) bool {
	key = strings.ToLower(key)
	for _, word := range []string{"password", "passwd", "secret", "token"} {
		if strings.HasSuffix(key, word) {
			return true
		}
	}
	return false
}
