package config

import (
	"fmt"
	"strings"
)

// Roles are the parts that a host plays.
type Roles struct{ Store, Postgres, Proxy bool }

// All are the three roles, which is what a host of a normal cluster has.
var allRoles = Roles{Store: true, Postgres: true, Proxy: true}

// String is the list as it is written.
func (r Roles) String() string {
	var names []string
	for _, role := range []struct {
		held bool
		name string
	}{{r.Store, "store"}, {r.Postgres, "postgres"}, {r.Proxy, "proxy"}} {
		if role.held {
			names = append(names, role.name)
		}
	}
	return strings.Join(names, ",")
}

// ParseRoles reads a list of roles.
func ParseRoles(names []string) (Roles, error) {
	var r Roles
	for _, name := range names {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "store":
			r.Store = true
		case "postgres", "postgresql":
			r.Postgres = true
		case "proxy":
			r.Proxy = true
		default:
			return Roles{}, fmt.Errorf("found role %q, expected store, postgres or proxy", name)
		}
	}
	if r == (Roles{}) {
		return r, fmt.Errorf("found no role, expected store, postgres or proxy")
	}
	return r, nil
}

// roles decides in the order: command line, QUORATE_ROLES, file. Unset, a host that is started as Patroni, or that names an etcd and
// no store of ours, is a Patroni host; every other holds all roles.
func (p *parser) roles(top *section) Roles {
	names := top.list("roles") // the environment has been laid over the file already
	at := top.place("roles")
	if len(p.in.RolesFlag) > 0 {
		names, at = p.in.RolesFlag, Place{Source: "--roles"}
	}
	if len(names) == 0 {
		if p.in.CalledAsPatroni || p.foreign(top) {
			return Roles{Postgres: true}
		}
		return allRoles
	}
	r, err := ParseRoles(names)
	if err != nil {
		p.wrong(at, "roles", fmt.Sprintf("%q", strings.Join(names, ",")), "a list of store, postgres and proxy")
		return allRoles
	}
	return r
}

// foreign says whether the configuration puts the cluster's state into an etcd that is not ours.
func (p *parser) foreign(top *section) bool {
	return (top.has("etcd") || top.has("etcd3")) && (p.in.EtcdFirst || !top.has("store"))
}
