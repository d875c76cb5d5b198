package node

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/api/etcd2"
	"quorate/api/etcd3"
	"quorate/api/rest"
	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/internal/gossip"
	"quorate/internal/peertls"
	"quorate/proxy"
	"quorate/raftstore"
	"quorate/raftstore/dcs"
)

// PatroniVersion is what is told to those who ask for Patroni's version.
const PatroniVersion = "4.1.4"

type registerer = prometheus.Registerer

// Options is what a node is made of.
type Options struct {
	Config  *config.Config
	Logger  *slog.Logger
	Exe     string // this program, for the fence
	Product string // "Quorate/1.0"
	// Reload reads the configuration again (SIGHUP, POST /reload); nil: there is nothing to read.
	Reload func() (*config.Config, error)
}

// Node is one host.
//
//	New ── Run (until its context ends, or an operator's word or a fatal error ends it)
type Node struct {
	opt Options
	cfg *config.Config
	log *slog.Logger
	reg *prometheus.Registry

	store  *raftstore.Store
	front  *etcd3.Server
	gossip *gossip.Gossip
	dcs    *dcsclient.Etcd
	agent  *agent
	router *proxy.Router
	rest   *rest.Server

	teardown []step
	quit     bool // the fence is to end too
}

// step is a named part of the teardown.
type step struct {
	name string
	do   func(context.Context) error
}

// New checks what can be checked beforehand. Nothing is started and nothing on disk is touched.
func New(o Options) (*Node, error) {
	if err := o.Config.CheckFiles(); err != nil {
		return nil, err
	}
	return &Node{opt: o, cfg: o.Config, log: o.Logger, reg: prometheus.NewRegistry()}, nil
}

// onStop registers the end of a part the moment the part exists; they run in reverse.
func (n *Node) onStop(name string, do func(context.Context) error) {
	n.teardown = append(n.teardown, step{name, do})
}

// stopTimeoutAll bounds the teardown.
const stopTimeoutAll = 10 * time.Second

func (n *Node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeoutAll)
	defer cancel()
	var errs []error
	for i := len(n.teardown) - 1; i >= 0; i-- {
		if err := n.teardown[i].do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", n.teardown[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Run starts the host's parts in order and serves until ctx ends, then hands over and stops them in reverse.
func (n *Node) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, n.stop()) }()
	for _, part := range []struct {
		name  string
		start func(context.Context) error
	}{
		{"gossip", n.startGossip}, {"store", n.startStore}, {"store client", n.startClient}, {"router", n.startRouter},
		{"agent", n.startAgent}, {"API", n.startREST},
	} {
		if err := part.start(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	n.log.Info("running", "name", n.cfg.Name, "scope", n.cfg.Scope, "roles", n.cfg.Roles.String())
	ready()
	return n.serve(ctx)
}

// serve waits for the end: asked for, or by the agent's or the store's own word.
func (n *Node) serve(ctx context.Context) error {
	var exits chan exitOrder
	if n.agent != nil {
		exits = n.agent.exits
	}
	failed := make(<-chan error)
	if n.store != nil {
		failed = n.store.Failed()
	}
	stopping := false
	for {
		select {
		case <-ctx.Done():
			if n.agent == nil {
				return nil
			}
			if !stopping {
				stopping, ctx = true, context.WithoutCancel(ctx)
				n.log.Info("stopping: handing over first")
				n.agent.loop.post(askEvent{askStop})
			}
		case e := <-exits:
			n.quit = e.code == 0 && !n.agentPaused()
			if e.code != 0 {
				return errors.New(e.why)
			}
			n.log.Info(e.why)
			return nil
		case err := <-failed:
			// The agent goes on with another host's member: a broken store must not take a healthy primary down.
			n.log.Error("the store has failed; this host goes on without its own member", "error", err)
			failed = nil
		}
	}
}

func (n *Node) agentPaused() bool {
	st := n.agent.pub.status.Load()
	return st.View.Paused
}

// startGossip begins to look for the other hosts.
func (n *Node) startGossip(context.Context) error {
	g := n.cfg.Gossip
	if !g.Enabled {
		return nil
	}
	var err error
	n.gossip, err = gossip.New(gossip.Options{
		Name: n.cfg.Name, Listen: g.Listen, Advertise: g.Advertise, Join: g.Join, Secret: g.Secret, Insecure: g.Insecure,
		Meta: n.meta(), Logger: n.log, Registerer: n.reg,
	})
	if err != nil {
		return err
	}
	if err := n.gossip.Start(); err != nil {
		return err
	}
	n.onStop("gossip", func(context.Context) error { return n.gossip.Stop() })
	return nil
}

func (n *Node) meta() gossip.Meta {
	c := n.cfg
	m := gossip.Meta{Scope: c.Scope, RESTURL: apiURL(c), Expect: c.Store.Expect, Started: time.Now().UnixMilli()}
	if c.Roles.Store {
		m.Roles = append(m.Roles, "store")
		m.PeerAddr = net.JoinHostPort(c.Address, strconv.Itoa(c.Store.PeerPort))
		m.ClientURL = n.clientURL()
	}
	if c.Roles.Postgres {
		m.Roles = append(m.Roles, "postgres")
		m.PGAddr = c.PostgreSQL.ConnectAddress
	}
	if c.Roles.Proxy {
		m.Roles = append(m.Roles, "proxy")
	}
	if n.store != nil {
		m.MemberID, m.StoreID = n.store.ID(), n.store.ClusterID()
		m.Founded = m.StoreID != 0
	}
	return m
}

func (n *Node) clientURL() string {
	scheme := "http"
	if n.cfg.Store.ClientTLS.Enabled() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(n.cfg.Address, strconv.Itoa(n.cfg.Store.ClientPort))
}

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
		Store: n.store, Logger: n.log, Registerer: n.reg, Gatherer: n.reg, Handlers: map[string]http.Handler{"/v2/": v2},
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
	cert, err := tls.LoadX509KeyPair(t.CertFile, firstSet(t.KeyFile, t.CertFile))
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientCAs: certPool(t.CAFile)}
	switch t.VerifyClient {
	case "required":
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return conf, nil
}

// storePeers are the store hosts that gossip sees. Without gossip a host is alone.
func (n *Node) storePeers() []raftstore.Peer {
	var out []raftstore.Peer
	if n.gossip == nil {
		return out
	}
	for _, m := range n.gossip.Members() {
		if m.Meta.HasRole("store") && m.Meta.PeerAddr != "" {
			out = append(out, raftstore.Peer{
				ID: m.Meta.MemberID, Name: m.Name, PeerAddr: m.Meta.PeerAddr, ClientURLs: []string{m.Meta.ClientURL}, HasData: m.Meta.Founded,
			})
		}
	}
	return out
}

// watchGossip passes on who is there: to the store's founding, to the client of other hosts' stores, and to the agent.
func (n *Node) watchGossip() {
	views, stop := n.gossip.Watch()
	ctx, cancel := context.WithCancel(context.Background())
	n.onStop("gossip's reader", func(context.Context) error { cancel(); stop(); return nil })
	go func() {
		for {
			select {
			case v := <-views:
				n.hostsChanged(v)
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (n *Node) hostsChanged(v gossip.View) {
	if n.store != nil {
		n.store.LookAgain()
	}
	var stores []string
	for _, m := range v.Members {
		if m.Meta.HasRole("store") && m.Meta.ClientURL != "" && !m.Self {
			stores = append(stores, m.Meta.ClientURL)
		}
	}
	if n.dcs != nil && n.cfg.Etcd == nil && (n.store == nil || len(stores) > 0) {
		if err := n.dcs.SetEndpoints(stores); err != nil {
			n.log.Warn("store hosts", "error", err)
		}
	}
	if n.agent != nil {
		n.agent.loop.post(n.dataHosts(v))
	}
}

// dataHosts are the hosts with PostgreSQL of this cluster, and whether more are to come: with a new store nobody leads before
// as many hosts as it was founded by have been seen.
func (n *Node) dataHosts(v gossip.View) hostsEvent {
	var e hostsEvent
	stores := 0
	for _, m := range v.Members {
		if m.Meta.HasRole("postgres") && m.Meta.Scope == n.cfg.Scope {
			e.expected = append(e.expected, m.Name)
		}
		if m.Meta.HasRole("store") {
			stores++
		}
	}
	e.more = n.cfg.Roles.Store && stores < n.cfg.Store.Expect
	return e
}

// startClient connects to the store: in this process, on the hosts that gossip finds, or the etcd that the configuration names.
func (n *Node) startClient(context.Context) error {
	opt := dcsclient.Options{Logger: n.log, RequestTimeout: storeTimeout}
	switch e := n.cfg.Etcd; {
	case e != nil:
		opt.Endpoints, opt.Username, opt.Password = e.Endpoints, e.Username, e.Password
		if e.CACert != "" || e.Cert != "" {
			opt.TLS = &tls.Config{RootCAs: certPool(e.CACert), MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.InsecureNoVerifyCert} //nolint:gosec // as configured
			if e.Cert != "" {
				cert, err := tls.LoadX509KeyPair(e.Cert, firstSet(e.Key, e.Cert))
				if err != nil {
					return err
				}
				opt.TLS.Certificates = []tls.Certificate{cert}
			}
		}
	case n.front != nil:
		opt.Local = n.front.Conn()
	}
	var err error
	if n.dcs, err = dcsclient.New(opt); err != nil {
		return err
	}
	n.onStop("store client", func(context.Context) error { return n.dcs.Close() })
	if n.gossip != nil && n.store == nil {
		n.watchGossip()
	}
	return nil
}

// startRouter opens the router's ports. Without a table clients wait.
func (n *Node) startRouter(ctx context.Context) error {
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
	if n.router, err = proxy.New(opt); err != nil {
		return err
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

// startAgent begins to manage PostgreSQL; on a host without it, the router's table is kept from the store alone.
func (n *Node) startAgent(ctx context.Context) error {
	if !n.cfg.Roles.Postgres {
		if n.cfg.Roles.Proxy {
			n.startTable()
		}
		return nil
	}
	if err := n.uniqueName(ctx); err != nil {
		return err
	}
	var err error
	if n.agent, err = newAgent(ctx, agentOptions{
		cfg: n.cfg, log: n.log, dcs: n.dcs, metrics: n.reg, exe: n.opt.Exe, peerKey: peerKey(n.cfg), publish: n.route,
	}); err != nil {
		return err
	}
	n.onStop("agent", func(context.Context) error { n.agent.stop(n.quit); return nil })
	if n.gossip != nil {
		n.agent.loop.known.store.ExpectMore = true // until gossip has told who is there
		defer func() { n.agent.loop.post(n.dataHosts(n.gossip.View())) }()
	}
	return n.agent.start(ctx)
}

// startTable keeps the routing table on a host without PostgreSQL.
func (n *Node) startTable() {
	ctx, cancel := context.WithCancel(context.Background())
	n.onStop("routing table", func(context.Context) error { cancel(); return nil })
	t := &tableKeeper{cfg: n.cfg, route: n.route}
	w := newWatcher(n.dcs, dcs.NewKeys(n.cfg.Namespace, n.cfg.Scope), n.log, t.see)
	go w.run(ctx)
}

// uniqueName refuses to run beside another member of the same name: the two would fight over one set of keys.
func (n *Node) uniqueName(ctx context.Context) error {
	if n.gossip == nil {
		return nil
	}
	for _, c := range n.gossip.View().Conflicts {
		if c.Mine() {
			return fmt.Errorf("name: found %q, which %s has already: every member needs a name of its own", n.cfg.Name, c.Other.Addr)
		}
	}
	return ctx.Err()
}

// peerKey authenticates the members' questions to each other.
func peerKey(c *config.Config) []byte {
	if c.Gossip.Secret == "" {
		return nil
	}
	key, err := hkdf.Key(sha256.New, []byte(c.Gossip.Secret), nil, "quorate peer requests v1", 32)
	if err != nil {
		return nil
	}
	return key
}

// startREST serves the HTTP API.
func (n *Node) startREST(ctx context.Context) error {
	if n.agent == nil {
		return nil
	}
	c := n.cfg.REST
	opt := rest.Options{
		Config: rest.Config{
			Listen: c.Listen, Username: c.Authentication.Username, Password: c.Authentication.Password, Allowlist: c.Allowlist,
			AllowlistIncludeMembers: c.AllowlistIncludeMembers, HTTPExtraHeaders: c.HTTPExtraHeaders, HTTPSExtraHeaders: c.HTTPSExtraHeaders,
			ServerTokens: c.ServerTokens,
		},
		Backend: &backend{a: n.agent, reload: n.reload}, Keys: n.agent.keys, Profile: n.cfg.Profile(), PeerKey: peerKey(n.cfg),
		Product: n.opt.Product, Registerer: n.reg, Gatherer: n.reg, Logger: n.log,
	}
	if c.TLS.Enabled() {
		opt.Config.TLS = &rest.TLS{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, KeyFilePassword: c.TLS.KeyFilePassword, CAFile: c.TLS.CAFile, VerifyClient: c.TLS.VerifyClient,
			Ciphers: c.Ciphers,
		}
	}
	if n.router != nil {
		opt.Router = routerView{n.router}
	}
	if n.store != nil {
		opt.Members = storeMembers{n.store}
	}
	var err error
	if n.rest, err = rest.New(opt); err != nil {
		return err
	}
	if err := n.rest.Start(ctx); err != nil {
		return err
	}
	n.onStop("API", n.rest.Stop)
	return nil
}

// Reload reads the configuration again; what needs a restart waits for one.
func (n *Node) Reload() error { return n.reload(context.Background()) }

func (n *Node) reload(context.Context) error {
	if n.opt.Reload == nil {
		return nil
	}
	c, err := n.opt.Reload()
	if err != nil {
		n.log.Error("the configuration was not reloaded: it goes on as it was", "error", err)
		return err
	}
	if n.agent != nil {
		n.agent.loop.post(reloadEvent{c})
	}
	n.log.Info("configuration reloaded")
	return nil
}

// Executable is the path of this program.
func Executable() string {
	p, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return p
}
