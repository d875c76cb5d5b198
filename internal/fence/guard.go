package fence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
)

// GuardOptions says how a fence is found or started.
type GuardOptions struct {
	StateDir string   // holds the socket, the lock and fence.log
	DataDir  string   // shown in the process list
	Command  []string // the program and its arguments before "--state-dir ..."
	Logger   *slog.Logger
	Watchdog WatchdogConfig

	patience time.Duration // of bury; patience, if zero
}

// Guard is the agent's hold on the fence: it connects to one that runs, starts one when there is none, and starts another
// when it dies. When it dies the postmaster gets SIGQUIT from the kernel; Guard sees to it that really nothing of the
// instance is left before a new fence starts anything.
type Guard struct {
	opt  GuardOptions
	note chan struct{} // something changed: look at Status

	mu     sync.Mutex
	client *Client
	pm     int // the postmaster at the time the fence was last heard of
}

// NewGuard connects to the fence of a data folder, or starts it.
func NewGuard(ctx context.Context, opt GuardOptions) (*Guard, error) {
	g := &Guard{opt: opt, note: make(chan struct{}, 1)}
	return g, g.connect(ctx)
}

// Changed gets a value when the fence died, came back, or an instance ended.
func (g *Guard) Changed() <-chan struct{} { return g.note }

func (g *Guard) notify() {
	select {
	case g.note <- struct{}{}:
	default:
	}
}

// connect is called with no client in place.
func (g *Guard) connect(ctx context.Context) error {
	c, err := Dial(ctx, g.opt.StateDir)
	if err != nil {
		if c, err = g.spawn(ctx); err != nil {
			return err
		}
	}
	g.mu.Lock()
	w := g.opt.Watchdog
	g.mu.Unlock()
	if w.Mode != "" {
		switch err := c.SetWatchdog(ctx, w); {
		case errors.Is(err, ErrLost), ctx.Err() != nil:
			return err
		case err != nil: // a fence that guards a primary keeps the device that it has
			g.opt.Logger.Error("the watchdog stays as the fence has it", "error", err)
		}
	}
	g.mu.Lock()
	g.client, g.pm = c, c.Known().PM
	g.mu.Unlock()
	go g.follow(c)
	g.notify()
	return nil
}

// spawn starts a fence that outlives this process, and connects to it.
func (g *Guard) spawn(ctx context.Context) (*Client, error) {
	log, err := os.OpenFile(filepath.Join(g.opt.StateDir, "fence.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	defer log.Close()
	args := append(g.opt.Command[1:len(g.opt.Command):len(g.opt.Command)], "--state-dir", g.opt.StateDir, "--data-dir", g.opt.DataDir)
	cmd := exec.Command(g.opt.Command[0], args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("fence: starting %s: %w", g.opt.Command[0], err)
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	for {
		if c, err := Dial(ctx, g.opt.StateDir); err == nil {
			return c, nil
		}
		select {
		case err := <-died:
			return nil, fmt.Errorf("fence: it ended while starting (%w); see %s", errOr(err, "exit 0"), log.Name())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(dialPause):
		}
	}
}

func errOr(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}

// follow waits for the fence's end and starts another.
func (g *Guard) follow(c *Client) {
	for {
		_, err := c.Wait(context.Background())
		if errors.Is(err, ErrLost) {
			break
		}
		g.notify()
		if !g.waitStarted(c) {
			break
		}
	}
	g.mu.Lock()
	if g.client != c {
		g.mu.Unlock()
		return // closed by us
	}
	pm := c.Known().PM
	g.client = nil
	g.mu.Unlock()
	g.notify()
	g.opt.Logger.Error("the fence process has died; ending what it guarded", "postmaster", pm)
	bury(pm, cmp.Or(g.opt.patience, patience))
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := g.connect(ctx)
		cancel()
		if err == nil {
			return
		}
		g.opt.Logger.Error("the fence cannot be started again", "error", err)
		time.Sleep(time.Second)
	}
}

// waitStarted waits until the client knows of a postmaster again; false when the connection is lost.
func (g *Guard) waitStarted(c *Client) bool {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for c.Known().PM == 0 {
		select {
		case <-c.Lost():
			return false
		case <-t.C:
		}
	}
	return true
}

// patience is how long a postmaster has for the immediate shutdown that the fence's death asked it for. It gives its
// backends five seconds (postmaster.c, SIGKILL_CHILDREN_AFTER_SECS); a frozen one gets no further.
const patience = time.Second

// bury makes sure that a postmaster and its children are gone.
func bury(pm int, patience time.Duration) {
	if pm <= 1 {
		return
	}
	fd, err := unix.PidfdOpen(pm, 0)
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	k := &killer{orphans: -1}
	k.children.Store(-1)
	_ = k.watch(pm)
	_ = unix.Kill(pm, unix.SIGQUIT)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(p, int(patience.Milliseconds())); n > 0 {
		return
	}
	k.fire()
	_, _ = unix.Poll(p, -1)
}

func (g *Guard) get() (*Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.client == nil {
		return nil, ErrLost
	}
	return g.client, nil
}

// Status is what the fence last said, and whether it is there.
func (g *Guard) Status() (Status, bool) {
	c, err := g.get()
	if err != nil {
		return Status{}, false
	}
	return c.Known(), true
}

// Lease tells the fence a term's deadline.
func (g *Guard) Lease(ctx context.Context, t Term, d boottime.Instant) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	_, err = c.Lease(ctx, t, d)
	return err
}

// Unfence drops the deadline (maintenance).
func (g *Guard) Unfence(ctx context.Context, t Term) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	return c.Unfence(ctx, t)
}

// Kill fences at once.
func (g *Guard) Kill(ctx context.Context) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	return c.Kill(ctx)
}

// Start starts a postmaster under the fence.
func (g *Guard) Start(ctx context.Context, s Spec) (int, error) {
	c, err := g.get()
	if err != nil {
		return 0, err
	}
	return c.Start(ctx, s)
}

// Signal sends the postmaster a signal.
func (g *Guard) Signal(ctx context.Context, sig syscall.Signal) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	return c.Signal(ctx, sig)
}

// Adopt gives a running postmaster into the fence's care.
func (g *Guard) Adopt(ctx context.Context, pid int) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	return c.Adopt(ctx, pid)
}

// Running is the postmaster's process id, 0 when there is none.
func (g *Guard) Running(context.Context) (int, error) {
	st, ok := g.Status()
	if !ok {
		return 0, ErrLost
	}
	return st.PM, nil
}

// Wait blocks until the instance has gone whole.
func (g *Guard) Wait(ctx context.Context) (Exit, error) {
	c, err := g.get()
	if err != nil {
		return Exit{}, err
	}
	return c.Wait(ctx)
}

// SetWatchdog changes the watchdog: of the fence that runs, and of each that is started later.
func (g *Guard) SetWatchdog(ctx context.Context, w WatchdogConfig) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	if err := c.SetWatchdog(ctx, w); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opt.Watchdog = w
	return nil
}

// Close leaves the fence alone: it goes on guarding, for the next agent.
func (g *Guard) Close() error {
	g.mu.Lock()
	c := g.client
	g.client = nil
	g.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.Close()
}

// Quit ends the fence process; the instance must have gone.
func (g *Guard) Quit(ctx context.Context) error {
	c, err := g.get()
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.client = nil
	g.mu.Unlock()
	err = c.Quit(ctx)
	return errors.Join(err, c.Close())
}
