package node

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// remoteAddresses are the servers of standby_cluster: as many ports as hosts, or one for all. An archive alone has none.
func remoteAddresses(r ha.Remote) ([]instance.Address, error) {
	if r.Host == "" && r.Port == "" {
		return nil, nil
	}
	hosts, ports := fields(r.Host, "localhost"), fields(r.Port, "5432")
	if len(ports) != 1 && len(ports) != len(hosts) {
		return nil, fmt.Errorf("standby_cluster: %d ports (%s) for %d hosts (%s): give one port, or one for each host", len(ports), r.Port, len(hosts), r.Host)
	}
	out := make([]instance.Address, len(hosts))
	for i, h := range hosts {
		port, err := strconv.Atoi(ports[min(i, len(ports)-1)])
		if err != nil || port < 1 || port > 65535 {
			return nil, fmt.Errorf("standby_cluster.port: found %q, expected a port from 1 to 65535, or a comma-separated list of them", r.Port)
		}
		out[i] = instance.Address{Host: h, Port: port}
	}
	return out, nil
}

func fields(list, otherwise string) []string {
	var out []string
	for f := range strings.SplitSeq(list, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	if out == nil {
		return []string{otherwise}
	}
	return out
}

// remoteUpstream is the remote primary with this member's account, the slot that it keeps, and what fetches its WAL from an archive.
func (a *agent) remoteUpstream(r ha.Remote) (postgres.Upstream, error) {
	all, err := remoteAddresses(r)
	if err != nil {
		return postgres.Upstream{}, err
	}
	recovery := postgres.Params{}
	for name, v := range map[string]string{
		"restore_command": r.Restore, "archive_cleanup_command": r.Cleanup, "recovery_min_apply_delay": r.Delay,
	} {
		if v != "" {
			recovery[name] = v
		}
	}
	return a.inst.RemoteUpstream(all, a.cfg.Name, r.Slot, recovery), nil
}

// addressOf is where an upstream can be asked: of several remote servers the one that takes writes.
func (a *agent) addressOf(ctx context.Context, u ha.Upstream) (host string, port int, err error) {
	if u.Remote.IsZero() {
		return upstreamOf(u)
	}
	all, err := remoteAddresses(u.Remote)
	if err != nil || len(all) == 0 {
		return "", 0, err
	}
	found, err := a.inst.FindPrimary(ctx, all)
	return found.Host, found.Port, err
}

// leadsReading says whether PostgreSQL runs as the leader of a standby cluster does; the caller knows that this node holds the key.
func leadsReading(s *ha.Snapshot) bool {
	return s.Set.StandbyCluster != nil && s.PG.Phase == ha.Running && s.PG.InRecovery
}
