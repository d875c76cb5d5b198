package node

import (
	"maps"
	"net"
	"strings"

	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// instanceOptions say which PostgreSQL the configuration means.
func instanceOptions(c *config.Config) instance.Options {
	p := c.PostgreSQL
	host, _, _ := net.SplitHostPort(p.ConnectAddress)
	eff, _ := c.Effective(nil, c.Profile())
	return instance.Options{
		DataDir: p.DataDir, BinDir: eff.PostgreSQL.BinDir, ClusterName: c.Scope, Listen: strings.Join(p.Listen, ","), Port: p.Port, ConnectHost: host,
		Database: eff.PostgreSQL.Database, SocketDir: firstOf(eff.PostgreSQL.Parameters["unix_socket_directories"]),
		Superuser: account(p.Superuser), Replication: account(p.Replication), Rewind: account(p.Rewind),
	}
}

// account translates a role's credentials.
func account(c config.Credentials) instance.Account {
	a := instance.Account{User: c.Username, Password: c.Password, Extra: postgres.Conninfo{}}
	for _, s := range []postgres.Setting{ // in this order always: another order is another connection string
		{Name: "sslmode", Value: c.SSLMode}, {Name: "sslkey", Value: c.SSLKey}, {Name: "sslcert", Value: c.SSLCert},
		{Name: "sslpassword", Value: c.SSLPassword}, {Name: "sslrootcert", Value: c.SSLRootCert}, {Name: "sslcrl", Value: c.SSLCRL},
		{Name: "sslcrldir", Value: c.SSLCRLDir}, {Name: "sslnegotiation", Value: c.SSLNegotiation}, {Name: "gssencmode", Value: c.GSSEncMode},
		{Name: "channel_binding", Value: c.ChannelBinding},
	} {
		a.Extra = a.Extra.With(s.Name, s.Value)
	}
	return a
}

// applyConfigs gives PostgreSQL each new configuration, the newest only.
func (a *agent) applyConfigs() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case set := <-a.confs:
			if _, err := a.inst.Configure(a.ctx, a.instanceConfig(set)); err != nil && a.ctx.Err() == nil {
				a.log.Error("the configuration of PostgreSQL was not applied", "error", err)
			}
			a.mon.Poke()
			a.reloaded(set)
		}
	}
}

// instanceConfig is what the settings in force say about PostgreSQL.
func (a *agent) instanceConfig(set dynamic.Config) instance.Config {
	p := set.PostgreSQL.For(a.settingsRole())
	own := a.local.Load().PostgreSQL
	out := instance.Config{
		Accounts: &instance.Accounts{Superuser: account(own.Superuser), Replication: account(own.Replication), Rewind: account(own.Rewind)},
		Params:   postgres.Params(p.Parameters), Recovery: postgres.Params(p.RecoveryConf), HBA: p.PgHBA, Ident: p.PgIdent, CustomConf: p.CustomConf,
	}
	if set.HasLogicalSlots() && out.Params["hot_standby_feedback"] != "on" {
		// The primary must keep the catalog rows that the standbys' copies of the slots need.
		out.Params = maps.Clone(out.Params)
		if out.Params == nil {
			out.Params = postgres.Params{}
		}
		out.Params["hot_standby_feedback"] = "on"
	}
	for _, o := range p.Basebackup {
		out.BaseBackup = append(out.BaseBackup, o.Arg())
	}
	for _, o := range p.Rewind {
		out.PGRewind = append(out.PGRewind, o.Arg())
	}
	return out
}
