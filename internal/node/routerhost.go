package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/proxy"
)

// makeRouter checks the router's configuration, and whether the process may open as many files as its sessions take.
func (n *Node) makeRouter() error {
	if !n.cfg.Roles.Proxy {
		return nil
	}
	opt := routerOptions(n.cfg)
	opt.Logger, opt.Registerer = n.log, n.reg
	opt.Listen = n.opt.Sockets.Listen
	var err error
	n.router, err = proxy.New(opt)
	return err
}

// routerOptions are the section proxy in the router's own words.
func routerOptions(c *config.Config) proxy.Options {
	p := c.Proxy
	zone, _ := c.Tags.All["zone"].(string)
	opt := proxy.Options{
		Zone: cmp.Or(p.Zone, zone), MaxSessions: p.MaxSessions, StartTimeout: p.StartTimeout, ConnectTimeout: p.ConnectTimeout,
		LingerTimeout: p.LingerTimeout, StaleReads: p.StaleReads, AccessLog: p.AccessLog,
		TCP: proxy.TCPOptions{
			KeepAliveIdle: p.KeepAliveIdle, KeepAliveInterval: p.KeepAliveInterval, KeepAliveCount: p.KeepAliveCount, UserTimeout: p.UserTimeout,
		},
	}
	for _, l := range p.Listeners {
		o := proxy.ListenerOptions{
			Name: l.Name, Listen: l.Listen,
			Rule: proxy.Rule{
				Target: proxy.Target(l.Target), Tag: l.Tag, Balance: proxy.Balance(l.Balance), MaxLagBytes: l.MaximumLag, MaxLagTime: l.MaximumLagTime,
				FallbackToPrimary: l.FallbackToPrimary,
			},
			Hold:        proxy.HoldOptions{Timeout: l.HoldTimeout, MaxClients: l.HoldClients, MaxBytes: l.HoldBytes},
			MaxSessions: l.MaxSessions, MaxPerBackend: l.MaxPerBackend, MaxPerClient: l.MaxPerClient,
			ProxyFrom: l.ProxyFrom, SendProxy: l.SendProxy,
		}
		if l.TLS != nil {
			o.TLS = &proxy.TLSOptions{CertFile: l.TLS.CertFile, KeyFile: l.TLS.KeyFile, Require: l.TLS.Require}
		}
		opt.Listeners = append(opt.Listeners, o)
	}
	return opt
}

// startRouter opens the router's ports. Without a table clients wait.
func (n *Node) startRouter(ctx context.Context) error {
	if n.router == nil {
		return nil
	}
	if err := n.router.Start(ctx); err != nil {
		return err
	}
	n.onStop("router", n.stopRouter)
	return n.startStats(ctx)
}

// drainDefault is how long the sessions of a host that ends may go on. Those to its own PostgreSQL have ended with it.
const drainDefault = time.Second

// stopRouter lets the sessions run out for proxy.drain_timeout. The agent has gone by now, so that another source keeps the router told
// meanwhile: what it carries to other hosts goes on, and a primary that ends takes its sessions along.
func (n *Node) stopRouter(ctx context.Context) error {
	d := n.drainTimeout()
	if n.handedOver {
		return nil // to runOut
	}
	if d > drainDefault {
		n.log.Info("draining: no new sessions, those that run may end by themselves", "sessions", len(n.router.Sessions()), "for", d.String())
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), d)
		defer cancel()
		stop, err := n.feedRouter(n.dcs)
		if err != nil {
			return err
		}
		defer stop()
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if err := n.router.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (n *Node) drainTimeout() time.Duration {
	if n.router == nil {
		return 0
	}
	return max(0, cmp.Or(n.proxyNow().DrainTimeout, drainDefault))
}

// feedRouter keeps the router told by the store alone until stop is called.
func (n *Node) feedRouter(from dcsclient.Client) (stop func(), err error) {
	o, err := newOnlooker(n.cfg, from, n.log.With("component", "onlooker"), n.route)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { o.watch.run(ctx) })
	return func() { cancel(); done.Wait() }, nil
}

// proxyNow is the section proxy as it was last read.
func (n *Node) proxyNow() config.Proxy {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	return n.current.Proxy
}

// stats serve HAProxy's statistics on a port of their own; guarded by reloading.
type stats struct {
	address string // as configured; empty: there is none
	server  *http.Server
}

func (n *Node) startStats(ctx context.Context) error {
	n.onStop("router's statistics", func(context.Context) error {
		n.reloading.Lock()
		defer n.reloading.Unlock()
		return n.stats.close()
	})
	n.reloading.Lock()
	defer n.reloading.Unlock()
	return n.moveStats(ctx, n.current)
}

// moveStats serves the statistics where c says. The old port closes when the new one is open.
func (n *Node) moveStats(ctx context.Context, c *config.Config) error {
	address := c.Proxy.StatsListen
	if address == n.stats.address {
		return nil
	}
	next := stats{address: address}
	if address != "" {
		if host, port, err := net.SplitHostPort(address); err == nil && host == "*" {
			address = net.JoinHostPort("", port)
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("%s: proxy.stats_listen: %w", c.At("proxy.stats_listen"), err)
		}
		s := &http.Server{Handler: n.router.StatsHandler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
		next.server = s
		go func() { _ = s.Serve(l) }()
	}
	err := n.stats.close()
	n.stats = next
	return err
}

func (s stats) close() error {
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

// route gives the router the newest table.
func (n *Node) route(v *view) {
	if n.router == nil {
		return
	}
	t := routingTable(v)
	n.lag.fill(&t, boottime.Now())
	n.router.Publish(t)
	n.followDrain(v, t.Term)
}

// revoke ends the sessions to the primary at once, before PostgreSQL's end reaches them, or where it cannot (a disk that hangs).
func (n *Node) revoke(ctx context.Context) {
	if n.router == nil {
		return
	}
	if err := n.router.Revoke(ctx); err != nil && !errors.Is(err, proxy.ErrStopped) {
		n.log.Warn("sessions to the fenced primary may not have ended", "error", err)
	}
}
