package fence

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"sync"
	"syscall"
	"time"

	"quorate/internal/boottime"
)

// Client is the agent's connection to one fence process. Its methods may be called from several goroutines. When the
// connection breaks every call fails with ErrLost and Lost is closed.
type Client struct {
	conn *net.UnixConn
	out  *lineWriter
	lost chan struct{}

	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan response
	status  Status
	exits   map[chan Exit]struct{}
}

// Dial connects to the fence that listens in stateDir.
func Dial(ctx context.Context, stateDir string) (*Client, error) {
	short, done, err := shortPath(stateDir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	c := &Client{
		conn: conn.(*net.UnixConn), out: &lineWriter{w: json.NewEncoder(conn)}, lost: make(chan struct{}),
		pending: map[uint64]chan response{}, exits: map[chan Exit]struct{}{},
	}
	go c.read()
	if _, err := c.Status(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection. The fence goes on.
func (c *Client) Close() error { return c.conn.Close() }

// Lost is closed when the fence has gone or the connection was closed.
func (c *Client) Lost() <-chan struct{} { return c.lost }

func (c *Client) read() {
	in := bufio.NewScanner(c.conn)
	in.Buffer(make([]byte, 0, 4096), 1<<20)
	for in.Scan() {
		var r response
		if json.Unmarshal(in.Bytes(), &r) != nil {
			break
		}
		c.received(r)
	}
	c.conn.Close()
	close(c.lost)
}

func (c *Client) received(r response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Status != nil {
		c.status = *r.Status
	}
	if r.Exit != nil {
		for w := range c.exits {
			w <- *r.Exit
			delete(c.exits, w)
		}
	}
	if w, ok := c.pending[r.ID]; ok {
		delete(c.pending, r.ID)
		w <- r
	}
}

func (c *Client) call(ctx context.Context, r request) (Status, error) {
	w := make(chan response, 1)
	c.mu.Lock()
	c.next++
	r.ID = c.next
	c.pending[r.ID] = w
	c.mu.Unlock()
	if err := c.out.write(r); err != nil {
		return Status{}, ErrLost
	}
	select {
	case resp := <-w:
		if resp.Error != "" {
			return *resp.Status, fromWire(resp.Error)
		}
		return *resp.Status, nil
	case <-c.lost:
		return Status{}, ErrLost
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pending, r.ID)
		c.mu.Unlock()
		return Status{}, ctx.Err()
	}
}

// Status asks the fence what it holds.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return c.call(ctx, request{Op: "status"})
}

// Known is the status that came with the last answer.
func (c *Client) Known() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Lease tells the fence that term holds until deadline. The deadline must be counted from before the renewal was sent.
func (c *Client) Lease(ctx context.Context, t Term, deadline boottime.Instant) (Status, error) {
	return c.call(ctx, request{Op: "lease", Term: t, Deadline: deadline})
}

// Unfence drops the deadline: the committed record {unfenced: node, term} stands in its place.
func (c *Client) Unfence(ctx context.Context, t Term) error {
	_, err := c.call(ctx, request{Op: "unfence", Term: t})
	return err
}

// Kill fences the instance at once.
func (c *Client) Kill(ctx context.Context) error {
	_, err := c.call(ctx, request{Op: "kill"})
	return err
}

// Start starts a postmaster.
func (c *Client) Start(ctx context.Context, s Spec) (int, error) {
	st, err := c.call(ctx, request{Op: "start", Spec: &s})
	return st.PM, err
}

// Signal sends a signal to the postmaster.
func (c *Client) Signal(ctx context.Context, sig syscall.Signal) error {
	_, err := c.call(ctx, request{Op: "signal", Signal: sig})
	return err
}

// Adopt gives a running postmaster into the fence's care.
func (c *Client) Adopt(ctx context.Context, pid int) error {
	_, err := c.call(ctx, request{Op: "adopt", PM: pid})
	return err
}

// SetWatchdog says which watchdog device to use.
func (c *Client) SetWatchdog(ctx context.Context, w WatchdogConfig) error {
	_, err := c.call(ctx, request{Op: "watchdog", Watchdog: &w})
	return err
}

// Quit ends the fence process. It refuses while the instance has processes.
func (c *Client) Quit(ctx context.Context) error {
	_, err := c.call(ctx, request{Op: "quit"})
	return err
}

// Wait blocks until every process of the instance has gone and says how the postmaster ended. It returns at once, with the
// last exit, when there is none.
func (c *Client) Wait(ctx context.Context) (Exit, error) {
	w := make(chan Exit, 1)
	c.mu.Lock()
	c.exits[w] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.exits, w)
		c.mu.Unlock()
	}()
	st, err := c.Status(ctx)
	if err != nil {
		return Exit{}, err
	}
	if st.PM == 0 {
		if st.LastExit != nil {
			return *st.LastExit, nil
		}
		return Exit{Code: -1}, nil
	}
	select {
	case e := <-w:
		return e, nil
	case <-c.lost:
		return Exit{}, ErrLost
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// dialPause is how often a fence that was just started is tried again.
const dialPause = 5 * time.Millisecond
