package gather

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"quorate/internal/doctor"
)

// reachTimeout is how long a port may take to answer: hosts of a cluster are near each other.
const reachTimeout = 2 * time.Second

// reach tries the ports of the other hosts from here.
func (g *gatherer) reach(ctx context.Context, c doctor.Cluster) []doctor.Reach {
	targets := g.targets(ctx, c)
	var wg sync.WaitGroup
	for i := range targets {
		wg.Go(func() { targets[i].Result, targets[i].Detail = try(ctx, targets[i]) })
	}
	wg.Wait()
	return targets
}

// targets are the ports of members that are known, and those of the hosts to join that are configured like this one.
func (g *gatherer) targets(ctx context.Context, c doctor.Cluster) (out []doctor.Reach) {
	add := func(addr, what string, required bool) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || g.own(host, port) {
			return
		}
		r := doctor.Reach{Host: host, Port: port, What: what, Required: required}
		if i := slices.IndexFunc(out, func(x doctor.Reach) bool { return x.Host == host && x.Port == port && x.What == what }); i >= 0 {
			out[i].Required = out[i].Required || required
			return
		}
		out = append(out, r)
	}
	known := c.Err == ""
	for _, m := range c.Members {
		add(m.Addr, "PostgreSQL", m.State == "running" || m.State == "streaming")
	}
	if known {
		if seen, err := g.Client.Cluster(ctx); err == nil {
			for _, m := range seen.Members {
				add(hostPort(m.APIURL, "8008"), "the HTTP API", true)
			}
			list, err := g.Client.StoreMembers(ctx, seen.URLs())
			if err == nil {
				for _, m := range list {
					add(hostPort(m.PeerURL, "2380"), "the store (peers)", true)
					add(hostPort(m.ClientURL, "2379"), "the store (clients)", true)
				}
			}
		}
	}
	for _, join := range g.Config.Gossip.Join {
		add(join, "gossip (TCP)", known)
		add(join, "gossip (UDP)", false)
		if host, _, err := net.SplitHostPort(join); err == nil && !known {
			g.likeOurs(host, add)
		}
	}
	return out
}

// likeOurs are the ports of a host that has not told its own.
func (g *gatherer) likeOurs(host string, add func(addr, what string, required bool)) {
	c := g.Config
	if c.Roles.Store {
		add(net.JoinHostPort(host, strconv.Itoa(c.Store.PeerPort)), "the store (peers)", false)
		add(net.JoinHostPort(host, strconv.Itoa(c.Store.ClientPort)), "the store (clients)", false)
	}
	if _, port, err := net.SplitHostPort(c.REST.Listen); err == nil {
		add(net.JoinHostPort(host, port), "the HTTP API", false)
	}
	if c.Roles.Postgres {
		add(net.JoinHostPort(host, strconv.Itoa(c.PostgreSQL.Port)), "PostgreSQL", false)
	}
}

// own says whether an address is this host's.
func (g *gatherer) own(host, port string) bool {
	if host == g.Config.Address && host != "127.0.0.1" {
		return true
	}
	c := g.Config
	for _, addr := range []string{c.REST.ConnectAddress, c.PostgreSQL.ConnectAddress, c.Gossip.Advertise, c.Gossip.Listen,
		net.JoinHostPort(c.Store.Listen, strconv.Itoa(c.Store.ClientPort)), net.JoinHostPort(c.Store.Listen, strconv.Itoa(c.Store.PeerPort))} {
		if addr == net.JoinHostPort(host, port) {
			return true
		}
	}
	return false
}

func hostPort(raw, def string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), def)
	}
	return u.Host
}

// try connects. Over UDP only a refusal can be told: a port that takes datagrams does not answer.
func try(ctx context.Context, r doctor.Reach) (result, detail string) {
	network := "tcp"
	if strings.HasSuffix(r.What, "(UDP)") {
		network = "udp"
	}
	d := net.Dialer{Timeout: reachTimeout}
	conn, err := d.DialContext(ctx, network, net.JoinHostPort(r.Host, r.Port))
	if err == nil {
		defer conn.Close()
		if network == "udp" {
			err = datagram(conn)
		}
	}
	switch {
	case err == nil:
		return "open", ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused", ""
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "filtered", ""
	}
	return "failed", err.Error()
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// datagram sends an empty one and waits a moment for the kernel's word that nobody is there.
func datagram(conn net.Conn) error {
	if _, err := conn.Write(nil); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}
