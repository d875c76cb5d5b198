package node

import (
	"context"
	"errors"
	"time"

	"quorate/proxy"
)

// makeRouter checks the router's configuration, and whether the process may open as many files as its sessions take.
func (n *Node) makeRouter() error {
	if !n.cfg.Roles.Proxy {
		return nil
	}
	p := n.cfg.Proxy
	opt := proxy.Options{
		Zone: p.Zone, StartTimeout: p.StartTimeout, ConnectTimeout: p.ConnectTimeout, StaleReads: p.StaleReads, AccessLog: p.AccessLog,
		Logger: n.log, Registerer: n.reg,
	}
	for _, l := range p.Listeners {
		opt.Listeners = append(opt.Listeners, proxy.ListenerOptions{
			Name: l.Name, Listen: l.Listen,
			Rule: proxy.Rule{
				Target: proxy.Target(l.Target), Tag: l.Tag, Balance: proxy.Balance(l.Balance), MaxLagBytes: l.MaximumLag, MaxLagTime: l.MaximumLagTime,
				FallbackToPrimary: l.FallbackToPrimary,
			},
			Hold:        proxy.HoldOptions{Timeout: l.HoldTimeout, MaxClients: l.HoldClients},
			MaxSessions: l.MaxSessions, MaxPerBackend: l.MaxPerBackend, MaxPerClient: l.MaxPerClient,
		})
	}
	var err error
	n.router, err = proxy.New(opt)
	return err
}

// startRouter opens the router's ports. Without a table clients wait.
func (n *Node) startRouter(ctx context.Context) error {
	if n.router == nil {
		return nil
	}
	if err := n.router.Start(ctx); err != nil {
		return err
	}
	n.onStop("router", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := n.router.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
	return nil
}

// route gives the router the newest table.
func (n *Node) route(v *view) {
	if n.router != nil {
		n.router.Publish(routingTable(v))
	}
}
