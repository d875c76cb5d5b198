package instance

import (
	"context"
	"maps"
	"slices"
)

// Settings are what a member's own file says of its PostgreSQL and may change while that runs. What is empty has the default that Options say.
type Settings struct {
	Listen      string // listen_addresses, from the next start of the postmaster on
	Port        int    // ditto
	ConnectHost string
	Database    string
	BinDir      string
	BinName     map[string]string
	PassFile    string
}

// settings are those of the options.
func (o *Options) settings() *Settings {
	return &Settings{
		Listen: o.Listen, Port: o.Port, ConnectHost: o.ConnectHost, Database: o.Database, BinDir: o.BinDir, BinName: o.BinName, PassFile: o.PassFile,
	}
}

// settings are those in force.
func (i *Instance) settings() *Settings { return i.set.Load() }

// setOwn puts other settings in force. Connections that stand, and a postmaster that runs, are left alone: the port of the latter stays what it is until its
// next start.
func (i *Instance) setOwn(s Settings) error {
	o := i.opt
	o.Listen, o.Port, o.ConnectHost, o.Database, o.BinDir, o.BinName, o.PassFile = s.Listen, s.Port, s.ConnectHost, s.Database, s.BinDir, s.BinName, s.PassFile
	o.setOwnDefaults()
	was, now := i.settings(), o.settings()
	if was.Listen == now.Listen && was.Port == now.Port && was.ConnectHost == now.ConnectHost && was.Database == now.Database &&
		was.BinDir == now.BinDir && was.PassFile == now.PassFile && maps.Equal(was.BinName, now.BinName) {
		return nil
	}
	i.set.Store(now)
	if was.BinDir != now.BinDir || !maps.Equal(was.BinName, now.BinName) {
		i.bins.forget()
	}
	i.log.Info("settings of this member changed", "listen", now.Listen, "port", now.Port, "bin_dir", now.BinDir, "pgpass", now.PassFile)
	if was.PassFile == now.PassFile {
		return nil
	}
	i.confMu.Lock()
	if i.upstream.PassFile == was.PassFile {
		i.upstream.PassFile = now.PassFile
		i.upstream.Extra = slices.Clone(i.upstream.Extra)
		if i.upstream.Extra.Get("passfile") != "" { // as it was read back from the configuration on disk
			i.upstream.Extra = i.upstream.Extra.With("passfile", now.PassFile)
		}
	}
	i.confMu.Unlock()
	_, err := i.PassFile()
	return err
}

// place is where a postmaster takes connections.
type place struct {
	pid       int
	socketDir string
	port      int
}

// served is where the postmaster that runs takes connections, by its own word: what is configured may be for the next one. Without one, it is where that
// will be.
func (i *Instance) served(ctx context.Context) place {
	at := place{socketDir: i.opt.SocketDir, port: i.settings().Port}
	pid, err := i.opt.Supervisor.Running(ctx)
	if err != nil || pid == 0 {
		return at
	}
	if known := i.at.Load(); known != nil && known.pid == pid {
		return *known
	}
	p, err := i.readPIDFile()
	if err != nil || p.PID != pid || p.Port == 0 {
		return at
	}
	at.pid, at.port = pid, p.Port
	if p.SocketDir != "" {
		at.socketDir = p.SocketDir
	}
	if p.Status != "" { // all lines are there
		i.at.Store(&at)
	}
	return at
}

// Port is where the postmaster that runs takes connections; without one, where the next one will.
func (i *Instance) Port(ctx context.Context) int { return i.served(ctx).port }
