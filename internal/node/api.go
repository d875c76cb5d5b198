package node

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/api/rest"
	"quorate/internal/config"
	"quorate/internal/series"
	"quorate/raftstore/dcs"
)

// series are all metrics of this process.
func (n *Node) series() prometheus.Gatherer { return series.Join(n.reg, n.opt.Series) }

// startREST serves the HTTP API.
func (n *Node) startREST(ctx context.Context) error {
	opt := rest.Options{
		Config: restConfig(n.cfg), Keys: dcs.NewKeys(n.cfg.Namespace, n.cfg.Scope), Profile: n.cfg.Profile(), PeerKey: peerKey(n.cfg),
		Product: n.opt.Product, Registerer: n.reg, Gatherer: n.series(), Logger: n.log,
	}
	opt.Backend = n.onlooker
	if n.agent != nil {
		opt.Backend = &backend{a: n.agent, reload: n.reload}
	}
	if n.router != nil {
		opt.Router = routerView{n.router}
	}
	opt.Process = process{n}
	if n.member != nil {
		opt.Members = storeMembers{n.member}
	}
	var err error
	if n.rest, err = rest.New(opt); err != nil {
		return err
	}
	if err := n.rest.Start(ctx); err != nil {
		return err
	}
	n.onStop("API", n.rest.Stop)
	return nil
}

// restConfig translates the section restapi.
func restConfig(conf *config.Config) rest.Config {
	c := conf.REST
	out := rest.Config{
		Listen: c.Listen, Username: c.Authentication.Username, Password: c.Authentication.Password, Allowlist: c.Allowlist,
		AllowlistIncludeMembers: c.AllowlistIncludeMembers, HTTPExtraHeaders: c.HTTPExtraHeaders, HTTPSExtraHeaders: c.HTTPSExtraHeaders,
		ServerTokens: c.ServerTokens,
	}
	if c.TLS.Enabled() {
		out.TLS = &rest.TLS{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, KeyFilePassword: c.TLS.KeyFilePassword, CAFile: c.TLS.CAFile, VerifyClient: c.TLS.VerifyClient,
			Ciphers: c.Ciphers,
		}
	}
	return out
}

// Reload reads the configuration again, as SIGHUP and POST /reload ask: tags, parameters and accounts of PostgreSQL, and the API's
// certificates, password and allow-list take effect; for the rest it says that a restart is needed.
func (n *Node) Reload() error { return n.reload(context.Background()) }

func (n *Node) reload(ctx context.Context) error {
	if n.opt.Reload == nil {
		return nil
	}
	n.reloading.Lock()
	defer n.reloading.Unlock()
	c, err := n.opt.Reload()
	if err == nil {
		err = c.CheckFiles()
	}
	if err == nil && n.opt.Relog != nil {
		err = n.opt.Relog(c)
	}
	if err == nil && n.rest != nil {
		err = n.rest.Reload(ctx, restConfig(c))
	}
	if err != nil {
		n.log.Error("the configuration was not reloaded: it goes on as it was", "error", err)
		return err
	}
	for _, p := range n.peerClients() {
		if err := p.reload(c); err != nil { // its files have been checked: only a race with whoever writes them leads here
			n.log.Error("the other members are asked as before", "error", err)
		}
	}
	changed := config.Changed(n.current, c)
	if !changed.Empty() {
		n.current = c
	}
	if n.agent != nil {
		n.agent.loop.post(reloadEvent{c})
	}
	if n.router != nil && c.Roles.Proxy {
		if err := n.router.Reconfigure(ctx, routerOptions(c)); err != nil {
			n.log.Error("the router stays as it was; the rest of the configuration was reloaded", "error", err)
			return err
		}
		if err := n.moveStats(ctx, c); err != nil {
			n.log.Error("the router's statistics stay where they were; the rest of the configuration was reloaded", "error", err)
			return err
		}
	}
	if len(changed.Settings) == 0 {
		n.log.Info("configuration reloaded: nothing has changed")
	} else {
		n.log.Info("configuration reloaded", "changed", changed.Settings)
	}
	if later := config.Changed(n.cfg, c).Restart; len(later) > 0 { // against what this process was started with: what is put back waits for nothing
		n.log.Warn("settings that take effect at the next start of this process only", "settings", later)
	}
	if slices.Contains(changed.Settings, "postgresql.listen") && !n.listensAt(c.PostgreSQL) {
		n.log.Warn("postgresql.listen takes effect at the next restart of PostgreSQL: quorate restart --pending")
	}
	return nil
}

// listensAt says whether PostgreSQL was started with the address and port of a configuration.
func (n *Node) listensAt(pg config.PostgreSQL) bool {
	if n.agent == nil {
		return false
	}
	v := n.agent.pub.view.Load()
	return v != nil && v.served != nil && v.served.cfg != nil && v.served.port == pg.Port && slices.Equal(v.served.cfg.PostgreSQL.Listen, pg.Listen)
}

func (n *Node) peerClients() []*peerClient {
	var out []*peerClient
	if n.agent != nil {
		out = append(out, n.agent.peers)
	}
	if n.onlooker != nil {
		out = append(out, n.onlooker.peers)
	}
	return out
}
