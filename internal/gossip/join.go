package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// How often hosts of Options.Join that are not seen are tried. The first tries are close together, since hosts of a new
// cluster start at about the same time; whoever is last reaches the others at once, so nobody waits for a long pause to end.
const (
	joinFirst  = 100 * time.Millisecond
	joinLast   = 5 * time.Second
	lookUpWait = 2 * time.Second
)

// joinLoop keeps looking for the join hosts that are not members, now and after each loss: two halves of a cluster that were
// apart for long have forgotten each other, and only this brings them together.
func (g *Gossip) joinLoop() {
	pause := joinFirst
	for {
		changed := g.view.changed()
		missing := g.missing()
		if len(missing) == 0 {
			g.met()
			pause = joinFirst
			select {
			case <-changed:
				continue
			case <-g.ctx.Done():
				return
			}
		}
		g.join(missing)
		g.met() // whoever could have answered has
		select {
		case <-time.After(pause/2 + rand.N(pause)): // spread, so that hosts do not dial each other in step
		case <-g.ctx.Done():
			return
		}
		pause = min(2*pause, joinLast)
	}
}

// join tries all at once: one that hangs must not keep this host from the others.
func (g *Gossip) join(hosts []string) {
	var tries sync.WaitGroup
	for _, h := range hosts {
		tries.Go(func() {
			if _, err := g.list.Join([]string{h}); err != nil {
				g.log.Debug("cannot join", "host", h, "err", err)
				return
			}
			g.met()
		})
	}
	tries.Wait()
}

// missing are the join hosts none of whose addresses belongs to a member.
func (g *Gossip) missing() (out []string) {
	present := make(map[string]bool)
	for _, m := range g.Members() {
		present[m.Addr] = true
	}
	for _, j := range g.opts.Join {
		if j = withPort(j); !slices.ContainsFunc(g.resolve(j), func(a string) bool { return present[a] }) {
			out = append(out, j)
		}
	}
	return out
}

// resolve turns host:port into address:port, as many as the name has.
func (g *Gossip) resolve(hostPort string) (out []string) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil
	}
	if net.ParseIP(host) != nil {
		return []string{hostPort}
	}
	ctx, cancel := context.WithTimeout(g.ctx, lookUpWait)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		g.log.Debug("cannot resolve", "host", host, "err", err)
	}
	for _, a := range addrs {
		out = append(out, net.JoinHostPort(a, port))
	}
	return out
}
