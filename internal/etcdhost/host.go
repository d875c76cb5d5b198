package etcdhost

import (
	"context"
	"crypto/tls"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"

	"quorate/api/etcd2"
	"quorate/api/etcd3"
	"quorate/internal/series"
	"quorate/raftstore"
	"quorate/raftstore/v2keys"
)

// ErrHelp asks for the help.
var ErrHelp = flag.ErrHelp

// stopTimeout bounds the wait for requests under way.
const stopTimeout = 5 * time.Second

// Version is what `etcd --version` prints.
func Version() string {
	return fmt.Sprintf("etcd Version: %s\nGit SHA: quorate\nGo Version: %s\nGo OS/Arch: %s/%s\n",
		raftstore.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// host is a running store host.
type host struct {
	c       *Config
	log     *slog.Logger
	reg     *prometheus.Registry
	process prometheus.Gatherer
	store   *raftstore.Store
	v2      *etcd2.Handler
	front   *etcd3.Server
	ended   chan error

	clientTLS *tls.Config // nil: no client URL has TLS
	listeners map[*url.URL]net.Listener
}

// v2Store shows the store to the v2 API, which may not know it.
type v2Store struct{ *raftstore.Store }

func (s v2Store) V2Change(ctx context.Context, r etcd2.Request) (*v2store.Event, error) {
	return s.Store.V2Change(ctx, v2keys.Request(r))
}

// Run runs the host until ctx ends, and hands leadership over before it stops. process are the series of the whole process, which etcd's
// packages and Go's own are among; ready is called once, when requests are served.
func Run(ctx context.Context, c *Config, log *slog.Logger, process prometheus.Gatherer, ready func()) (err error) {
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	h := &host{c: c, log: log, process: process, reg: prometheus.NewRegistry(), ended: make(chan error, len(c.ListenClient)+len(c.ListenMetrics)+1)}
	if err := h.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	if err := h.serve(ctx); err != nil {
		return err
	}
	go h.announce(ctx, ready)
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-h.store.Failed():
		if errors.Is(err, raftstore.ErrRemoved) { // which is no failure: etcd ends with 0 too, so that its unit does not start it again
			log.Warn("this member has been removed from the cluster and ends; to come back it needs an empty --data-dir", "error", err)
			return nil
		}
		return fmt.Errorf("the store has failed: %w", err)
	case err := <-h.ended:
		return err
	}
}

// options are the store's.
func (h *host) options() (raftstore.Options, error) {
	c := h.c
	o := raftstore.Options{
		Dir: c.DataDir, Name: c.Name, Listen: address(c.ListenPeer[0]), Advertise: c.Advertise, ClientURLs: c.ClientURLs, Expect: c.Expect,
		Peers: func() []raftstore.Peer { return c.Peers }, ElectionTimeout: c.ElectionTimeout, QuotaBytes: c.Quota,
		RetainPeriod: c.RetainPeriod, RetainRevisions: c.RetainRevisions, RetainPeriodOnly: c.PeriodOnly,
		SnapshotEntries: c.SnapshotEntries, Auth: c.Auth, Logger: h.log, Registerer: h.reg,
	}
	if c.peerUnix { // then all members are on this host
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", addr)
		}
	}
	if c.peerSecure {
		server, client, err := c.PeerTLS.configs(c.DataDir, "peer", []string{c.Advertise})
		if err != nil {
			return o, err
		}
		o.TLS = &raftstore.PeerTLS{Server: server, Client: client}
	}
	return o, nil
}

// open opens the ports and the store. Whatever is wrong with certificates or addresses is told before anything is written: a store that was founded
// on the way would be there for the next start.
func (h *host) open() error {
	o, err := h.options()
	if err != nil {
		return err
	}
	if err = h.listenClients(); err == nil {
		err = h.openStore(o)
	}
	if err != nil {
		for _, l := range h.listeners {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// listenClients opens the clients' ports. They are served later.
func (h *host) listenClients() (err error) {
	c := h.c
	if c.ClientTLS.given() {
		var hosts []string
		for _, u := range c.ListenClient {
			hosts = append(hosts, u.Host)
		}
		if h.clientTLS, _, err = c.ClientTLS.configs(c.DataDir, "client", hosts); err != nil {
			return err
		}
	}
	h.listeners = map[*url.URL]net.Listener{}
	for _, u := range slices.Concat(c.ListenMetrics, c.ListenClient) {
		if sameAddress(c.ListenClient, u) != nil && !secure(u) {
			continue // the one with TLS serves both
		}
		if h.listeners[u], err = listenAt(u); err != nil {
			delete(h.listeners, u)
			return err
		}
	}
	return nil
}

func (h *host) openStore(o raftstore.Options) error {
	c := h.c
	if err := h.adopt(o); err != nil {
		return err
	}
	known, err := raftstore.ReadFolder(c.DataDir)
	if err == nil && known.PeerAddr != o.Advertise && c.Expect == 0 && known.ThisMachine {
		// etcd's way to move a member: member update, then a start with the new address.
		h.log.Warn("this member has a new peer address", "old", known.PeerAddr, "new", o.Advertise)
		o.AdoptFolder = true
	}
	if c.ForceNewCluster {
		if err := h.forceNew(o, known); err != nil {
			return err
		}
	}
	if o.Listener, err = listenAll(c.ListenPeer); err != nil {
		return err
	}
	h.store, err = raftstore.Open(o)
	return err
}

// forceNew makes this member the only one of a new cluster that has its data.
func (h *host) forceNew(o raftstore.Options, known raftstore.Folder) error {
	if known.ID == 0 {
		return fmt.Errorf("--force-new-cluster: %s has no data", o.Dir)
	}
	h.log.Warn("--force-new-cluster: this member alone is the cluster now; what only the others had is lost. "+
		"Take the flag away before the next start", "member", raftstore.FormatID(known.ID))
	return raftstore.RecoverQuorumLost(o, []raftstore.Member{{ID: known.ID, Name: o.Name, PeerAddr: o.Advertise}})
}

// serve opens all ports. Clients are taken in, but not answered before there is a leader, or ReadyTimeout is over: etcd does not know its own
// mind earlier either, and an error would make clients give up that otherwise wait.
func (h *host) serve(ctx context.Context) (err error) {
	handlers := map[string]http.Handler{"/debug/vars": expvar.Handler()}
	if h.v2, err = etcd2.New(etcd2.Options{Store: v2Store{h.store}, Logger: h.log, CertUsers: h.c.Auth.CertUser != nil}); err != nil {
		return err
	}
	if h.c.V2 {
		handlers["/v2/"] = h.v2
	}
	if h.c.Pprof {
		handlers["/debug/pprof/"] = profiles()
	}
	h.front, err = etcd3.New(etcd3.Options{
		Store: h.store, Logger: h.log, Registerer: h.reg, Gatherer: series.Join(h.reg, h.process),
		Handlers: handlers, MaxTxnOps: h.c.MaxTxnOps, MaxRequestBytes: h.c.MaxRequestBytes, ProgressInterval: h.c.ProgressInterval,
		Access: &h.c.Access, CertUsers: h.c.Auth.CertUser != nil, MaxConcurrentStreams: h.c.MaxStreams, ExtensiveMetrics: h.c.ExtensiveMetrics,
	})
	if err != nil {
		return err
	}
	for _, u := range h.c.ListenMetrics {
		h.listen(u, h.serveMetrics, nil)
	}
	ready := make(chan struct{})
	for _, u := range h.c.ListenClient {
		serve := h.front.Serve
		switch other := sameAddress(h.c.ListenClient, u); {
		case other != nil && !secure(u):
			continue // the one with TLS serves both
		case other != nil:
			serve = h.front.ServeMixed
		}
		h.listen(u, serve, ready)
	}
	go func() {
		defer close(ready)
		timeout, cancel := context.WithTimeout(ctx, h.c.ReadyTimeout)
		defer cancel()
		h.awaitReady(timeout)
	}()
	return nil
}

// sameAddress is another URL of the list at u's address but with the other scheme; etcd serves both at one port.
func sameAddress(list []*url.URL, u *url.URL) *url.URL {
	for _, o := range list {
		if o != u && address(o) == address(u) && secure(o) != secure(u) {
			return o
		}
	}
	return nil
}

// listen serves at a URL, once ready is closed.
func (h *host) listen(u *url.URL, serve func(net.Listener, *tls.Config) error, ready <-chan struct{}) {
	l, conf := h.listeners[u], h.clientTLS
	if !secure(u) {
		conf = nil
	}
	go func() {
		if ready != nil {
			<-ready
		}
		if err := serve(l, conf); err != nil && !errors.Is(err, http.ErrServerClosed) {
			h.ended <- fmt.Errorf("serving on %s has ended: %w", u, err)
		}
	}()
}

// profiles shows what etcd's --enable-pprof does. Importing net/http/pprof adds it to the default mux too, which nothing here serves.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// serveMetrics shows the metrics and the health on a port of their own.
func (h *host) serveMetrics(l net.Listener, conf *tls.Config) error {
	mux := http.NewServeMux()
	for _, page := range []string{"/metrics", "/health", "/livez", "/readyz"} {
		mux.Handle(page, h.front.Handler())
	}
	if conf != nil {
		conf = conf.Clone()
		conf.NextProtos = []string{"http/1.1"}
		l = tls.NewListener(l, conf)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: stopTimeout}
	go func() {
		<-h.store.Done()
		_ = srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// awaitReady waits until requests can be answered: there is a leader, and a new member has its vote, or shall have none. False when ctx ends
// before.
func (h *host) awaitReady(ctx context.Context) bool {
	for h.store.Health() != nil || h.store.Joining() {
		select {
		case <-ctx.Done():
			return false
		case <-h.store.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

// settleAfter keeps settle out of the way of the clients that a restart has made wait.
const settleAfter = 2 * time.Second

// announce says once that requests are served, and then gives back what only starting needed.
func (h *host) announce(ctx context.Context, ready func()) {
	if !h.awaitReady(ctx) {
		return
	}
	h.log.Info("ready to serve client requests", "member", raftstore.FormatID(h.store.ID()), "cluster", raftstore.FormatID(h.store.ClusterID()))
	ready()
	select {
	case <-ctx.Done():
		return
	case <-time.After(settleAfter):
	}
	if err := settle(); err != nil {
		h.log.Debug("memory that starting took is not given back", "error", err)
	}
}

func (h *host) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	if h.v2 != nil {
		h.v2.Stop()
	}
	if h.front != nil {
		errs = append(errs, h.front.Stop(ctx))
	}
	for _, l := range h.listeners {
		_ = l.Close() // those that were not served yet
	}
	return errors.Join(append(errs, h.store.Close())...)
}
