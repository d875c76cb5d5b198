package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"quorate/api/client"
	"quorate/api/etcd2"
	"quorate/api/etcd3"
	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/internal/peertls"
	"quorate/raftstore"
)

// startStore opens the member of the store on this host, and etcd's API.
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
	if s := n.cfg.Gossip.Secret; s != "" {
		server, client, err := peertls.TLSFromSecret(s)
		if err != nil {
			return err
		}
		opt.TLS = &raftstore.PeerTLS{Server: server, Client: client}
	}
	var err error
	if n.store, err = raftstore.Open(opt); err != nil {
		return err
	}
	n.onStop("store", func(context.Context) error { return n.store.Close() })
	if n.gossip != nil {
		n.watchGossip()
		_ = n.gossip.SetMeta(n.meta())
	}
	return n.startFront()
}

// startFront serves etcd's API.
func (n *Node) startFront() error {
	v2, err := etcd2.New(etcd2.Options{Store: v2Store{n.store}, Logger: n.log})
	if err != nil {
		return err
	}
	n.front, err = etcd3.New(etcd3.Options{
		Store: n.store, Logger: n.log, Registerer: n.reg, Gatherer: n.series(), Handlers: map[string]http.Handler{"/v2/": v2},
	})
	if err != nil {
		return err
	}
	n.onStop("store's API", func(ctx context.Context) error { v2.Stop(); return n.front.Stop(ctx) })
	l, err := net.Listen("tcp", net.JoinHostPort(n.cfg.Store.Listen, strconv.Itoa(n.cfg.Store.ClientPort)))
	if err != nil {
		return err
	}
	conf, err := serverTLS(n.cfg.Store.ClientTLS)
	if err != nil {
		return err
	}
	go func() {
		if err := n.front.Serve(l, conf); err != nil {
			n.log.Error("the store's API has ended", "error", err)
		}
	}()
	return nil
}

func serverTLS(t config.TLS) (*tls.Config, error) {
	if !t.Enabled() {
		return nil, nil
	}
	files := client.TLSFiles{CertFile: t.CertFile, KeyFile: t.KeyFile, KeyPassword: t.KeyFilePassword}
	conf, err := files.Config()
	if err != nil {
		return nil, fmt.Errorf("store.client_tls: %w", err)
	}
	conf.ClientCAs = certPool(t.CAFile)
	switch t.VerifyClient {
	case "required":
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return conf, nil
}

// startClient connects to the store: in this process, on the hosts that gossip finds, or the etcd that the configuration names.
func (n *Node) startClient(context.Context) error {
	opt, err := n.clientOptions()
	if err != nil {
		return err
	}
	if n.dcs, err = dcsclient.New(opt); err != nil {
		return err
	}
	n.onStop("store client", func(context.Context) error { return n.dcs.Close() })
	if n.gossip != nil && n.store == nil {
		n.watchGossip()
	}
	return nil
}

// clientOptions say where the store is.
func (n *Node) clientOptions() (dcsclient.Options, error) {
	opt := dcsclient.Options{Logger: n.log, RequestTimeout: storeTimeout}
	switch e := n.cfg.Etcd; {
	case e != nil:
		opt.Endpoints, opt.Username, opt.Password = e.Endpoints, e.Username, e.Password
		if e.CACert != "" || e.Cert != "" {
			files := client.TLSFiles{CACert: e.CACert, CertFile: e.Cert, KeyFile: e.Key, KeyPassword: e.KeyPassword, Insecure: e.InsecureNoVerifyCert}
			var err error
			if opt.TLS, err = files.Config(); err != nil {
				return opt, fmt.Errorf("etcd3: %w", err)
			}
		}
	case n.front != nil:
		opt.Local = n.front.Conn()
	}
	return opt, nil
}
