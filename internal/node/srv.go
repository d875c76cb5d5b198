package node

import (
	"context"
	"net"
	"slices"
	"time"

	"quorate/internal/etcdsrv"
)

// How often DNS is asked for the etcd: often until it has told of one, then as its hosts may change. Hosts that are known stay when it does not answer.
const (
	srvFirst = 5 * time.Second
	srvAgain = 30 * time.Second
)

// followSRV keeps the client of the store to the hosts that DNS knows, where the configuration says so (etcd3.srv, etcd.srv). Nobody waits for DNS: until it has
// answered the store is away, or at the hosts that are written beside.
func (n *Node) followSRV() {
	e := n.cfg.Etcd
	if e == nil || e.SRV == "" {
		return
	}
	resolver := n.opt.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n.onStop("look-up of the store", func(context.Context) error { cancel(); <-done; return nil })
	go func() {
		defer close(done)
		var known []string
		for ctx.Err() == nil {
			known = n.lookUpSRV(ctx, resolver, known)
			wait := srvAgain
			if len(known) == 0 {
				wait = srvFirst
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	}()
}

// lookUpSRV asks DNS once, and says which hosts are known after that.
func (n *Node) lookUpSRV(ctx context.Context, resolver etcdsrv.Resolver, known []string) []string {
	bounded, end := context.WithTimeout(ctx, srvFirst)
	defer end()
	urls, err := etcdsrv.Find(bounded, resolver, n.cfg.Etcd.SRV, n.cfg.Etcd.SRVSuffix)
	slices.Sort(urls)
	switch {
	case ctx.Err() != nil:
		return known
	case err != nil:
		n.log.Warn("srv: DNS tells of no etcd", "error", err, "known", known)
		return known
	case slices.Equal(urls, known):
		return known
	}
	if err := n.dcs.SetEndpoints(urls); err != nil {
		n.log.Error("srv: the hosts that DNS tells of", "hosts", urls, "error", err)
		return known
	}
	n.log.Info("srv: the store by DNS", "hosts", urls)
	return urls
}
