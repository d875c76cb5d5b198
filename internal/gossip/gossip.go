package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// leaveWait bounds how long Stop tries to tell the others.
const leaveWait = 500 * time.Millisecond

// Gossip is this host's part in the talk.
//
//	New -> Start -> (Watch, SetMeta, Nudge ...) -> Stop
type Gossip struct {
	opts Options
	log  *slog.Logger
	view *view
	list *memberlist.Memberlist

	ctx    context.Context // ends at Stop
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	once   sync.Once // Stop
	tried  chan struct{}
	met    func() // closes tried

	nudges  chan string
	publish chan struct{} // the meta has changed

	mu   sync.Mutex // guards meta
	meta []byte
}

// New checks the options. Nothing is opened before Start.
func New(o Options) (*Gossip, error) {
	if o.Name == "" {
		return nil, errors.New("gossip: name: found nothing, expected this host's name")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("component", "gossip")
	if _, err := o.config(); err != nil {
		return nil, err
	}
	meta, err := o.Meta.encode()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	tried := make(chan struct{})
	return &Gossip{
		opts: o, log: o.Logger, view: newView(o.Name), ctx: ctx, cancel: cancel, tried: tried, met: sync.OnceFunc(func() { close(tried) }),
		nudges: make(chan string, 1), publish: make(chan struct{}, 1), meta: meta,
	}, nil
}

// Start opens the port and begins to look for the hosts of Options.Join. It does not wait for any of them.
func (g *Gossip) Start() error {
	c, err := g.opts.config()
	if err != nil {
		return err
	}
	d := &delegate{g}
	c.Delegate, c.Events, c.Conflict, c.Ping = d, g.view, g, g.view
	c.Logger.SetOutput(&logWriter{log: g.log, suspect: g.view.suspect})
	if g.list, err = memberlist.Create(c); err != nil {
		return fmt.Errorf("gossip: listen on %s: %w", g.opts.Listen, err)
	}
	if err := register(g, g.opts.Registerer); err != nil {
		return errors.Join(fmt.Errorf("gossip: register metrics: %w", err), g.list.Shutdown())
	}
	g.log.Info("listening", "address", g.Addr(), "encrypted", c.EncryptionEnabled())
	g.tasks.Go(g.publishLoop)
	g.tasks.Go(g.joinLoop)
	return nil
}

// Met is closed once another host has answered, and with it all that it knows is in view, or once every host of Options.Join has been
// tried in vain.
func (g *Gossip) Met() <-chan struct{} { return g.tried }

// Addr is where this host gossips, as others see it.
func (g *Gossip) Addr() string { return g.list.LocalNode().Address() }

// View is what this host sees now.
func (g *Gossip) View() View { return g.view.get() }

// Members are the hosts that are there, this one included.
func (g *Gossip) Members() []Member { return g.View().Members }

// Watch delivers the present view at once and then the newest one after each change; views that were not taken in time are
// skipped. The channel is never closed. stop ends the delivery.
func (g *Gossip) Watch() (views <-chan View, stop func()) { return g.view.watch() }

// SetMeta replaces what this host tells of itself. The others learn it within a few hundred milliseconds, those that are cut off
// when they are back.
func (g *Gossip) SetMeta(m Meta) error {
	p, err := m.encode()
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.meta = p
	g.mu.Unlock()
	select {
	case g.publish <- struct{}{}:
	default: // a publication is due already and will take the newest
	}
	return nil
}

// publishLoop spreads the newest meta. It is a loop of its own because memberlist waits until the change has gone out.
func (g *Gossip) publishLoop() {
	for {
		select {
		case <-g.publish:
		case <-g.ctx.Done():
			return
		}
		if err := g.list.UpdateNode(time.Second); err != nil {
			g.log.Debug("the others will learn the new meta by the next exchange of state", "err", err)
		}
	}
}

// Nudge asks every other host to look again, by one packet each that may get lost.
func (g *Gossip) Nudge() {
	for _, n := range g.list.Members() {
		if n.Name == g.opts.Name {
			continue
		}
		if err := g.list.SendBestEffort(n, []byte(g.opts.Name)); err != nil {
			g.log.Debug("cannot nudge", "host", n.Name, "err", err)
		}
	}
}

// Nudges receives the name of a host that asked to look again; requests that were not taken in time are merged into one.
func (g *Gossip) Nudges() <-chan string { return g.nudges }

// NotifyConflict implements memberlist.ConflictDelegate.
func (g *Gossip) NotifyConflict(existing, other *memberlist.Node) {
	if old, ok := g.view.conflictOf(existing.Name); !ok || old != other.Address() {
		g.log.Error("two hosts have one name; the second is ignored: give it a name of its own",
			"name", existing.Name, "first", existing.Address(), "second", other.Address())
	}
	g.view.NotifyConflict(existing, other)
}

// Stop tells the others that this host leaves, and returns when the port is closed. A second call does nothing.
func (g *Gossip) Stop() (err error) {
	g.once.Do(func() { err = g.stop() })
	return err
}

func (g *Gossip) stop() error {
	g.cancel()
	if g.list == nil {
		return nil
	}
	g.tasks.Wait()
	if err := g.list.Leave(leaveWait); err != nil {
		g.log.Debug("the others will find out that this host is gone", "err", err)
	}
	if err := g.list.Shutdown(); err != nil {
		return fmt.Errorf("gossip: stop: %w", err)
	}
	unregister(g, g.opts.Registerer)
	return nil
}

// delegate gives memberlist what this host tells, and takes nudges.
type delegate struct{ g *Gossip }

func (d *delegate) NodeMeta(int) []byte {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	return d.g.meta
}

func (d *delegate) NotifyMsg(p []byte) {
	select {
	case d.g.nudges <- string(p):
	default:
	}
}

func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}

// logWriter passes memberlist's lines to slog, at debug: what matters of them is reported by events. One thing is not: that a
// probe found nobody. memberlist only prints it.
type logWriter struct {
	log     *slog.Logger
	suspect func(name string)
}

func (w *logWriter) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	if name, ok := between(line, "memberlist: Suspect ", " has failed, no acks received"); ok && w.suspect != nil {
		w.suspect(name)
	}
	w.log.Debug("memberlist", "line", line)
	return len(p), nil
}

func between(s, before, after string) (string, bool) {
	_, s, ok := strings.Cut(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
}
