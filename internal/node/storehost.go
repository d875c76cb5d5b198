package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"quorate/api/client"
	"quorate/internal/dcsclient"
	"quorate/internal/dcsclient/etcdv2"
	"quorate/raftstore"
	"quorate/raftstore/dcs"
)

// startStore opens the member of the store on this host, with etcd's API.
func (n *Node) startStore(context.Context) error {
	if !n.cfg.Roles.Store {
		return nil
	}
	c := n.cfg.Store
	opt := raftstore.Options{
		Dir: c.DataDir, Name: n.cfg.Name, Listen: net.JoinHostPort(c.Listen, strconv.Itoa(c.PeerPort)),
		Advertise:  net.JoinHostPort(n.cfg.Address, strconv.Itoa(c.PeerPort)),
		ClientURLs: []string{n.clientURL()}, Expect: c.Expect, Peers: n.storePeers, ElectionTimeout: c.ElectionTimeout, QuotaBytes: c.Quota,
		Logger: n.log, Registerer: n.reg,
	}
	var err error
	if opt.TLS, err = membersTLS(n.cfg); err != nil {
		return err
	}
	n.member = &storeMember{n: n, opt: opt}
	if err := n.member.open(); err != nil {
		return err
	}
	n.onStop("store", n.member.end)
	if n.gossip != nil {
		n.watchGossip()
	}
	return nil
}

// startClient connects to the store: in this process, on the hosts that gossip finds, or the etcd that the configuration names.
func (n *Node) startClient(context.Context) error {
	opt, err := n.clientOptions()
	if err != nil {
		return err
	}
	if n.dcs, err = n.newClient(opt); err != nil {
		return err
	}
	n.onStop("store client", func(context.Context) error { return n.dcs.Close() })
	n.tellHosts(func(h *hostsTold) { h.dcs = n.dcs })
	n.followSRV()
	if n.gossip != nil && n.member == nil {
		n.watchGossip()
	}
	return nil
}

// newClient makes a client for the API that the configuration names.
func (n *Node) newClient(opt dcsclient.Options) (storeConn, error) {
	e := n.cfg.Etcd
	if e == nil || e.API == 3 {
		return dcsclient.New(opt)
	}
	return etcdv2.New(etcdv2.Options{
		Endpoints: opt.Endpoints, Fixed: e.UseProxies, Keys: dcs.NewKeys(n.cfg.Namespace, n.cfg.Scope), Name: n.cfg.Name, TLS: opt.TLS,
		Username: opt.Username, Password: opt.Password, RequestTimeout: opt.RequestTimeout, Logger: opt.Logger,
	})
}

// clientOptions say where the store is.
func (n *Node) clientOptions() (dcsclient.Options, error) {
	opt := dcsclient.Options{Logger: n.log, RequestTimeout: storeTimeout}
	switch e := n.cfg.Etcd; {
	case e != nil:
		opt.Endpoints, opt.Username, opt.Password = e.Endpoints, e.Username, e.Password
		if e.SRV != "" || slices.ContainsFunc(e.Endpoints, func(url string) bool { return strings.HasPrefix(url, "https://") }) {
			files := client.TLSFiles{CACert: e.CACert, CertFile: e.Cert, KeyFile: e.Key, KeyPassword: e.KeyPassword, Insecure: e.InsecureNoVerifyCert}
			var err error
			if opt.TLS, err = files.Config(); err != nil {
				return opt, fmt.Errorf("%s: %w", e.Section(), err)
			}
		}
	default: // other hosts' members, too, while the own one is not there; which of them have TLS their addresses say
		var err error
		if opt.TLS, err = clientTLS("store.client_tls", n.cfg.Store.ClientTLS); err != nil {
			return opt, err
		}
		if n.member != nil {
			opt.Local = n.member.conn()
		}
	}
	return opt, nil
}
