package node

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/api/rest"
	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/internal/etcdsrv"
	"quorate/internal/gossip"
	"quorate/proxy"
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
	// Relog makes the log that of a configuration that was read again; nil: the log stays as it is.
	Relog func(*config.Config) error
	// LogBacklog is how many lines of the log wait to be written, and how many were lost; nil: unknown.
	LogBacklog func() (waiting, lost int)
	// Resolver is asked for etcd3.srv; nil: the system's.
	Resolver etcdsrv.Resolver
	// Sockets are what the process inherited; nil: none.
	Sockets *Sockets
	// Series are those of the whole process, Go's and etcd's packages': shown on the pages of metrics; nil: nothing more.
	Series prometheus.Gatherer
	// Upgrader replaces the process; nil: it cannot be.
	Upgrader Upgrader
}

// Node is one host.
//
//	New ── Run (until its context ends, or an operator's word or a fatal error ends it)
type Node struct {
	opt Options
	cfg *config.Config
	log *slog.Logger
	reg *prometheus.Registry

	member   *storeMember // nil without the role store
	gossip   *gossip.Gossip
	dcs      storeConn
	agent    *agent // nil without the role postgres: then onlooker is set
	told     hostsTold
	onlooker *onlooker
	router   *proxy.Router
	stats    stats
	drains   drains
	rest     *rest.Server

	reloading sync.Mutex     // one reload at a time
	current   *config.Config // the newest that was read; cfg is what the process was started with

	teardown   []step
	quit       bool          // the fence is to end too
	upgrades   chan struct{} // asked for
	handedOver bool          // another process takes over
	started    time.Time
	lag        lagClock
}

// storeConn is how this host reaches its store.
type storeConn interface {
	dcsclient.Client
	// SetEndpoints replaces the hosts that were found.
	SetEndpoints([]string) error
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
	n := &Node{opt: o, cfg: o.Config, current: o.Config, log: o.Logger, reg: prometheus.NewRegistry(), upgrades: make(chan struct{}, 1), started: time.Now()}
	return n, errors.Join(n.makeGossip(), n.makeRouter())
}

// onStop registers the end of a part the moment the part exists; they run in reverse.
func (n *Node) onStop(name string, do func(context.Context) error) {
	n.teardown = append(n.teardown, step{name, do})
}

// stopTimeoutAll bounds the teardown.
const stopTimeoutAll = 10 * time.Second

func (n *Node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeoutAll+n.drainTimeout())
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
	if err := n.preflight(ctx); err != nil {
		return err
	}
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
	n.keepMember()
	n.log.Info("running", "name", n.cfg.Name, "scope", n.cfg.Scope, "roles", n.cfg.Roles.String())
	n.opt.Sockets.rest(n.log)
	ready()
	if err = n.serve(ctx); errors.Is(err, errUpgrade) {
		return n.succeed(ctx)
	}
	return err
}

// serve waits for the end: asked for, or by the agent's own word.
func (n *Node) serve(ctx context.Context) error {
	var exits chan exitOrder
	if n.agent != nil {
		exits = n.agent.exits
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
		case <-n.upgrades:
			if !stopping {
				return errUpgrade
			}
		}
	}
}

func (n *Node) agentPaused() bool {
	st := n.agent.pub.status.Load()
	return st.View.Paused
}

// startAgent begins to manage PostgreSQL; on a host without it, the router's table is kept from the store alone.
func (n *Node) startAgent(ctx context.Context) error {
	if !n.cfg.Roles.Postgres {
		return n.startOnlooker()
	}
	var err error
	if n.agent, err = newAgent(ctx, agentOptions{
		cfg: n.cfg, log: n.log, dcs: n.dcs, metrics: n.reg, exe: n.opt.Exe, peerKey: peerKey(n.cfg), publish: n.route, drain: n.drainFirst, revoke: n.revoke,
		backlog: n.opt.LogBacklog,
	}); err != nil {
		return err
	}
	n.onStop("agent", func(context.Context) error { n.agent.stop(n.quit); return nil })
	if n.gossip != nil {
		n.agent.loop.known.store.ExpectMore = true // until gossip has told who is there
		defer n.tellHosts(func(h *hostsTold) {
			v := n.gossip.View()
			h.view, h.agent = &v, n.agent
		})
	}
	return n.agent.start(ctx)
}

// startOnlooker watches the cluster on a host without PostgreSQL.
func (n *Node) startOnlooker() (err error) {
	n.onlooker, err = newOnlooker(n.cfg, n.dcs, n.log.With("component", "onlooker"), n.route)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	n.onStop("onlooker", func(context.Context) error { cancel(); done.Wait(); return nil })
	n.onlooker.ReloadFunc = n.reload
	done.Go(func() { n.onlooker.watch.run(ctx) })
	return nil
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

// Executable is the path of this program.
func Executable() string {
	p, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return p
}
