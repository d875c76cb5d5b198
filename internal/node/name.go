package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"quorate/internal/config"
	"quorate/raftstore/dcs"
)

// ErrNameTaken says that another member has this one's name. The two would fight over one set of keys.
var ErrNameTaken = errors.New("every member needs a name of its own")

// Bounds of the search for a namesake. A start must not wait long for hosts that are away: a primary's agent may be coming back within
// its lease.
const (
	meetTimeout     = 500 * time.Millisecond
	namesakeTimeout = time.Second
)

// namesakeHost refuses the name of a host that gossip has met, if that host is really there: one that has moved to another address is
// in the others' view twice until its old self has been declared dead.
func (n *Node) namesakeHost(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, namesakeTimeout)
	defer cancel()
	select {
	case <-n.gossip.Met():
	case <-time.After(meetTimeout):
	case <-ctx.Done():
	}
	for _, c := range n.gossip.View().Conflicts {
		if !c.Mine() {
			continue
		}
		if answers(ctx, c.Other.Addr) {
			return fmt.Errorf("%s: name: found %q, which the host at %s has: %w", n.cfg.At("name"), n.cfg.Name, c.Other.Addr, ErrNameTaken)
		}
		n.log.Warn("a host of this name is remembered and does not answer: it is taken for this one's past", "address", c.Other.Addr)
	}
	return nil
}

// answers says whether somebody listens at an address.
func answers(ctx context.Context, addr string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// namesakeMember refuses the name of a member of the store whose API answers, as Patroni does. Called before this host's own API is
// served, so that nobody but another can answer. A store that cannot be read yet says nothing: known is false, and
// [agent.unlessNamesake] asks later.
func namesakeMember(ctx context.Context, cfg *config.Config, w *watcher, p *peerClient) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, namesakeTimeout)
	defer cancel()
	c, err := w.load(ctx)
	if err != nil {
		return false, nil
	}
	return true, namesakeIn(ctx, cfg, c, p)
}

func namesakeIn(ctx context.Context, cfg *config.Config, c *dcs.Cluster, p *peerClient) error {
	m, ok := c.Member(cfg.Name)
	if !ok || m.APIURL == "" || !p.alive(ctx, m.APIURL) {
		return nil
	}
	return fmt.Errorf("%s: name: found %q, which the member at %s has: %w", cfg.At("name"), cfg.Name, m.APIURL, ErrNameTaken)
}

// unlessNamesake makes up for the question that the store could not answer at the start: the first view answers it. By now this host's own
// API is served, and only a member elsewhere is another.
func (a *agent) unlessNamesake(c *dcs.Cluster) {
	if c == nil || !a.late.CompareAndSwap(true, false) {
		return
	}
	if m, ok := c.Member(a.cfg.Name); !ok || m.APIURL == a.loop.known.self.APIURL {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(a.ctx, namesakeTimeout)
		defer cancel()
		if err := namesakeIn(ctx, a.cfg, c, a.peers); err != nil {
			a.leave(exitOrder{code: 1, why: err.Error()})
		}
	}()
}

// leave ends the agent; the first order counts.
func (a *agent) leave(o exitOrder) {
	select {
	case a.exits <- o:
	default:
	}
}
