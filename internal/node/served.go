package node

import (
	"net"
	"slices"
	"strconv"

	"quorate/internal/config"
	"quorate/pgctl/instance"
)

// servedBy is a postmaster, with the address that it was started with: another one that is configured meanwhile waits for its next start, and until then
// nobody may be sent there.
type servedBy struct {
	pid, port int
	cfg       *config.Config // the newest when it was first seen
}

// address is where the others reach PostgreSQL, as a configuration says: connect_address, but as long as the postmaster listens elsewhere the former
// one, and with the port that it has, where that of connect_address is PostgreSQL's own.
func (s *servedBy) address(c *config.Config) string {
	if s == nil {
		return c.PostgreSQL.ConnectAddress
	}
	if s.cfg != nil && !slices.Equal(s.cfg.PostgreSQL.Listen, c.PostgreSQL.Listen) {
		c = s.cfg
	}
	host, port, err := net.SplitHostPort(c.PostgreSQL.ConnectAddress)
	if err != nil || s.port == 0 || port != strconv.Itoa(c.PostgreSQL.Port) {
		return c.PostgreSQL.ConnectAddress
	}
	return net.JoinHostPort(host, strconv.Itoa(s.port))
}

// servedEvent is another postmaster, or its port when it is known.
type servedEvent struct{ pid, port int }

func (e servedEvent) fold(k *known) {
	if k.served == nil || k.served.pid != e.pid {
		k.served = &servedBy{pid: e.pid, cfg: k.local}
	}
	served := *k.served
	served.port = e.port
	k.served = &served
	showLocal(&k.self, k.local, k.served)
}

// sawServed tells the loop of another postmaster.
func (a *agent) sawServed(s instance.Sample) {
	if s.PID == 0 || s.StatusAt.IsZero() {
		return
	}
	if now := (servedEvent{s.PID, s.Port}); a.served != now {
		a.served = now
		a.loop.post(now)
	}
}
