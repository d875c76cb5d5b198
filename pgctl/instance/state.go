package instance

import (
	"os"
	"strconv"

	"quorate/pgctl/postgres"
)

// loadState reads back what the configuration on disk tells the server to follow and to wait for, so that an agent that starts
// does not change what it finds.
func (i *Instance) loadState() {
	b, err := os.ReadFile(i.confPath(confFile))
	if err != nil {
		return
	}
	settings, err := postgres.ParseConf(string(b))
	if err != nil {
		return
	}
	i.confMu.Lock()
	defer i.confMu.Unlock()
	for _, s := range settings {
		switch s.Name {
		case "primary_conninfo":
			i.upstream = upstreamFrom(s.Value, i.upstream.Slot)
		case "primary_slot_name":
			i.upstream.Slot = s.Value
		case "synchronous_standby_names":
			i.names, _ = postgres.ParseSyncNames(s.Value)
		}
	}
}

// upstreamFrom undoes Upstream.Conninfo as far as it can be undone: all that it has beyond the named fields stays as it was.
func upstreamFrom(conninfo, slot string) postgres.Upstream {
	c, err := postgres.ParseConninfo(conninfo)
	if err != nil || c.Get("host") == "" {
		return postgres.Upstream{Slot: slot}
	}
	u := postgres.Upstream{
		Host: c.Get("host"), Slot: slot, Name: c.Get("application_name"), User: c.Get("user"), PassFile: c.Get("passfile"), Extra: c,
	}
	u.Port, _ = strconv.Atoi(c.Get("port"))
	return u
}

// Upstream is whom the server is told to follow; without a host: nobody.
func (i *Instance) Upstream() postgres.Upstream {
	i.confMu.Lock()
	defer i.confMu.Unlock()
	return i.upstream
}

// SyncNames is what synchronous_standby_names is told to be.
func (i *Instance) SyncNames() postgres.SyncNames {
	i.confMu.Lock()
	defer i.confMu.Unlock()
	return i.names
}

// UpstreamTo is the upstream at host and port for a standby of this name, with the account and the password file of replication.
func (i *Instance) UpstreamTo(host string, port int, name, slot string) postgres.Upstream {
	return i.withAccount(postgres.Upstream{Host: host, Port: port, Name: name, Slot: slot})
}

// withAccount fills in the account of replication where none is named.
func (i *Instance) withAccount(up postgres.Upstream) postgres.Upstream {
	if up.Host != "" && up.User == "" {
		a := i.accounts().Replication
		up.User, up.PassFile, up.Extra = a.User, i.settings().PassFile, a.Extra
	}
	return up
}
