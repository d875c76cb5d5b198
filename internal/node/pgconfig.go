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
	eff, _ := c.Effective(nil, c.Profile())
	own := instanceSettings(c, eff.PostgreSQL)
	return instance.Options{
		DataDir: p.DataDir, ConfigDir: p.ConfigDir, ClusterName: c.Scope, SocketDir: firstOf(eff.PostgreSQL.Parameters["unix_socket_directories"]),
		Listen: own.Listen, Port: own.Port, ConnectHost: own.ConnectHost, Database: own.Database, BinDir: own.BinDir, BinName: own.BinName,
		PassFile: own.PassFile, Superuser: account(p.Superuser), Replication: account(p.Replication), Rewind: account(p.Rewind),
	}
}

// instanceSettings are those that a reload changes.
func instanceSettings(c *config.Config, shared dynamic.PostgreSQL) instance.Settings {
	p := c.PostgreSQL
	host, _, _ := net.SplitHostPort(p.ConnectAddress)
	return instance.Settings{
		Listen: strings.Join(p.Listen, ","), Port: p.Port, ConnectHost: host, Database: shared.Database, BinDir: shared.BinDir, BinName: shared.BinName,
		PassFile: p.PgPass,
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
			a.applyWatchdog(set.TTL)
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
	local := a.local.Load()
	own, settings := local.PostgreSQL, instanceSettings(local, set.PostgreSQL)
	out := instance.Config{
		Own:      &settings,
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
