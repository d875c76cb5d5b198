package node

import (
	"fmt"
	"net/url"
	"strconv"

	"quorate/internal/config"
	"quorate/pgctl/ha"
	"quorate/pgctl/postgres"
)

func (a *agent) connURL() string { return pgURL(a.cfg, a.cfg.PostgreSQL.ConnectAddress) }

func pgURL(c *config.Config, address string) string {
	eff, _ := c.Effective(nil, c.Profile())
	db := eff.PostgreSQL.Database
	if db == "" {
		db = "postgres"
	}
	return "postgres://" + address + "/" + db
}

func apiURL(c *config.Config) string {
	scheme := "http"
	if c.REST.TLS.Enabled() {
		scheme = "https"
	}
	return scheme + "://" + c.REST.ConnectAddress + "/patroni"
}

func firstOf(list string) string {
	for i, r := range list {
		if r == ',' {
			return list[:i]
		}
	}
	return list
}

// upstreamOf turns a member's conn_url into a host and a port.
func upstreamOf(u ha.Upstream) (host string, port int, err error) {
	if u.Conn == "" {
		return "", 0, nil
	}
	p, err := url.Parse(u.Conn)
	if err != nil {
		return "", 0, fmt.Errorf("conn_url of %s: %w", u.Name, err)
	}
	host, port = p.Hostname(), 5432
	if s := p.Port(); s != "" {
		if port, err = strconv.Atoi(s); err != nil {
			return "", 0, fmt.Errorf("conn_url of %s: %w", u.Name, err)
		}
	}
	return host, port, nil
}

// replicationUpstream is the upstream with this member's account and slot.
func (a *agent) replicationUpstream(u ha.Upstream) (postgres.Upstream, error) {
	if !u.Remote.IsZero() {
		return a.remoteUpstream(u.Remote)
	}
	host, port, err := upstreamOf(u)
	if err != nil || host == "" {
		return postgres.Upstream{}, err
	}
	slot := ""
	if set := a.set.Load(); set == nil || set.PostgreSQL.UseSlots {
		slot = postgres.SlotName(a.cfg.Name)
	}
	return a.inst.UpstreamTo(host, port, a.cfg.Name, slot), nil
}
