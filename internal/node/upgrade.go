package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"quorate/api/rest"
)

// Successor is the new process of an upgrade.
type Successor interface {
	// Ready is closed when it serves.
	Ready() <-chan struct{}
	// Done is closed when it has ended.
	Done() <-chan struct{}
}

// Upgrader starts the program anew. nil in [Options]: this process cannot be upgraded.
type Upgrader interface {
	// Check says whether the program that would be started works and accepts the configuration.
	Check(ctx context.Context) error
	// Start starts it with the router's listening sockets. again: the first one did not come up; the program that runs now is started instead.
	Start(doors []*os.File, again bool) (Successor, error)
}

// errUpgrade ends serve: another process is to take over.
var errUpgrade = errors.New("an upgrade was asked for")

// Times of an upgrade.
const (
	checkTimeout   = 20 * time.Second
	successorReady = 60 * time.Second
)

// Upgrade asks for an upgrade. It refuses while something is under way that an end of this process would break off, and returns before
// anything has changed.
func (n *Node) Upgrade(ctx context.Context) error {
	if n.opt.Upgrader == nil {
		return errors.New("this process was not started in a way that it can be upgraded in")
	}
	if n.agent != nil {
		if op := n.agent.opKind.Load(); op != nil {
			return &rest.BusyError{Operation: *op}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := n.opt.Upgrader.Check(ctx); err != nil {
		return fmt.Errorf("the program on disk does not work, this one goes on: %w", err)
	}
	select {
	case n.upgrades <- struct{}{}:
	default: // asked for already
	}
	return nil
}

// succeed hands this host to a new process. PostgreSQL goes on under its fence, and the new agent takes the lease up before it ends; the
// router accepts clients until the new one does, from the same sockets, and its sessions run out here.
func (n *Node) succeed(ctx context.Context) error {
	n.log.Info("upgrading: another process takes over; PostgreSQL and sessions stay")
	doors, err := n.doors()
	if err != nil {
		return err
	}
	defer func() {
		for _, d := range doors {
			_ = d.Close()
		}
	}()
	feed, err := n.feedAfterwards()
	if err != nil {
		return err
	}
	defer feed()
	n.handedOver = true
	err = n.stop()
	n.teardown = nil
	if err != nil {
		n.log.Warn("upgrading: not everything ended in order", "error", err)
	}
	next, err := n.launch(doors)
	if err != nil {
		return errors.Join(err, n.runOut(ctx, nil))
	}
	return n.runOut(ctx, next)
}

// doors are the router's listening sockets.
func (n *Node) doors() (out []*os.File, err error) {
	if n.router == nil {
		return nil, nil
	}
	files, err := n.router.Files()
	for _, f := range files {
		out = append(out, f.File)
	}
	return out, err
}

// feedAfterwards keeps the router told when this process has neither agent nor store any more: by the store's members, the new process's
// among them.
func (n *Node) feedAfterwards() (stop func(), err error) {
	if n.router == nil {
		return func() {}, nil
	}
	opt, err := n.clientOptions()
	if err != nil {
		return nil, err
	}
	if n.cfg.Etcd == nil {
		opt.Endpoints = n.storeURLs()
	}
	c, err := n.newClient(opt)
	if err != nil {
		return nil, err
	}
	end, err := n.feedRouter(c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return func() { end(); _ = c.Close() }, nil
}

// storeURLs are the store hosts that this host knows, itself among them.
func (n *Node) storeURLs() []string {
	var out []string
	if n.member != nil {
		out = append(out, n.clientURL())
	}
	if n.gossip != nil {
		for _, m := range n.gossip.View().Members {
			if m.Meta.HasRole("store") && m.Meta.ClientURL != "" && !m.Self {
				out = append(out, m.Meta.ClientURL)
			}
		}
	}
	return out
}

// launch starts the successor and waits until it serves. One that does not come up is replaced by the program that runs now, which is known to
// have worked here.
func (n *Node) launch(doors []*os.File) (Successor, error) {
	var errs []error
	for _, again := range []bool{false, true} {
		next, err := n.opt.Upgrader.Start(doors, again)
		if err == nil {
			err = awaitReady(next)
		}
		if err == nil {
			return next, nil
		}
		n.log.Error("upgrading: the new process did not come up", "error", err, "the_old_program_is_next", !again)
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func awaitReady(s Successor) error {
	select {
	case <-s.Ready():
		return nil
	case <-s.Done():
		return errors.New("the new process has ended: its log tells why")
	case <-time.After(successorReady):
		return nil // it lives, and waits for something: two of them would not be better
	}
}

// runOut stops accepting, serves the clients that wait here, and lets the sessions end by themselves: for proxy.upgrade_timeout from then on,
// and for no longer than proxy.drain_timeout once this process is told to end. It is over early when the successor ends: whoever supervises
// both then starts anew.
func (n *Node) runOut(ctx context.Context, next Successor) error {
	if n.router == nil {
		return nil
	}
	end, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(n.drainTimeout(), cancel) })()
	if next != nil {
		go func() { <-next.Done(); cancel() }()
	}
	n.log.Info("upgraded: another process serves this host", "sessions_left_here", len(n.router.Sessions()), "waiting_here", n.router.Waiting())
	if err := n.router.Retire(end); err != nil {
		n.log.Info("clients that wait are told to connect again", "why", err)
	}
	if d := n.proxyNow().UpgradeTimeout; d != 0 {
		var over context.CancelFunc
		end, over = context.WithTimeout(end, max(0, d))
		defer over()
	}
	if err := n.router.Stop(end); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	n.log.Info("the last session of this process has ended", "pid", os.Getpid())
	return nil
}

// process shows this process to the API.
type process struct{ n *Node }

func (p process) Info() rest.ProcessInfo {
	return rest.ProcessInfo{PID: os.Getpid(), Product: p.n.opt.Product, Started: p.n.started, Upgradable: p.n.opt.Upgrader != nil, Exe: cmp.Or(p.n.opt.Exe, os.Args[0])}
}

func (p process) Upgrade(ctx context.Context) error { return p.n.Upgrade(ctx) }
