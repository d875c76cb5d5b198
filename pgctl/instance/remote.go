package instance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"

	"quorate/pgctl/postgres"
)

// Address is where a server listens.
type Address struct {
	Host string
	Port int
}

func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// ErrNoPrimary says that none of some servers takes writes.
var ErrNoPrimary = errors.New("none of these servers is a primary")

// FindPrimary is the first of the servers that takes writes, asked over a replication connection. One server alone is not asked: whatever
// it is, it is the one that was named.
func (i *Instance) FindPrimary(ctx context.Context, all []Address) (Address, error) {
	if len(all) == 1 {
		return all[0], nil
	}
	errs := []error{ErrNoPrimary}
	for _, a := range all {
		readOnly, err := i.readOnly(ctx, a)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", a, err))
		case readOnly:
			errs = append(errs, fmt.Errorf("%s is a standby", a))
		default:
			return a, nil
		}
	}
	return Address{}, errors.Join(errs...)
}

// readOnly asks what libpq asks for target_session_attrs=read-write; walsenders answer SHOW.
func (i *Instance) readOnly(ctx context.Context, a Address) (bool, error) {
	s, err := i.dial(ctx, target{host: a.Host, port: a.Port, account: i.accounts().Replication, app: appName, params: map[string]string{"replication": "true"}})
	if err != nil {
		return false, err
	}
	defer s.close()
	row, err := s.one(ctx, "SHOW transaction_read_only")
	return err == nil && row[0] == "on", err
}

// RemoteUpstream is a server outside of the cluster, or several of which one is the primary: libpq then looks for the one that takes writes
// (manual, 34.1.1.3). Recovery are the settings of recovery that go with it. Without an address only they hold.
func (i *Instance) RemoteUpstream(all []Address, name, slot string, recovery postgres.Params) postgres.Upstream {
	u := postgres.Upstream{Name: name, Slot: slot, Recovery: recovery}
	if len(all) == 0 {
		return u
	}
	u = i.UpstreamTo(all[0].Host, all[0].Port, name, slot)
	u.Recovery = recovery
	if len(all) == 1 {
		return u
	}
	hosts, ports := "", ""
	for n, a := range all {
		if n > 0 {
			hosts, ports = hosts+",", ports+","
		}
		hosts, ports = hosts+a.Host, ports+strconv.Itoa(a.Port)
	}
	u.Host, u.Port = hosts, 0
	u.Extra = u.Extra.With("port", ports).With("target_session_attrs", "read-write")
	return u
}

// merged is a with what b has besides or instead.
func merged(a, b postgres.Params) postgres.Params {
	out := maps.Clone(a)
	if out == nil {
		out = postgres.Params{}
	}
	maps.Copy(out, b)
	return out
}
