package dcsclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
)

// Etcd is the Client over etcd's v3 API.
type Etcd struct {
	opts   Options
	log    *slog.Logger
	tokens tokens
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// cluster is the id of the cluster that the last Load was answered from; watches hold to it.
	cluster atomic.Uint64

	mu        sync.Mutex // guards the fields below
	endpoints []*endpoint
	preferred *endpoint // the one that served last
	closed    bool
}

var _ Client = (*Etcd)(nil)

// New makes a client and starts to connect; it does not wait for a connection. The caller calls Close.
func New(opts Options) (*Etcd, error) {
	opts = opts.withDefaults()
	c := &Etcd{opts: opts, log: opts.Logger}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.tokens.init(opts)
	c.SetLocal(opts.Local)
	if err := c.SetEndpoints(opts.Endpoints); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// SetEndpoints replaces the store hosts, as gossip comes to know them. Hosts that stay keep their connection; calls and
// watches on one that goes end with ErrUnavailable.
func (c *Etcd) SetEndpoints(addresses []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	var kept []*endpoint
	for _, address := range addresses {
		if slices.ContainsFunc(kept, func(e *endpoint) bool { return e.name == address }) {
			continue
		}
		e, err := c.findOrDial(address)
		if err != nil {
			return fmt.Errorf("store host %q: %w", address, err)
		}
		kept = append(kept, e)
	}
	var errs []error
	for _, e := range c.endpoints {
		switch {
		case e.local:
			kept = append([]*endpoint{e}, kept...)
		case !slices.Contains(kept, e):
			errs = append(errs, e.conn.Close())
		}
	}
	c.endpoints = kept
	return errors.Join(errs...)
}

// SetLocal replaces the way to the store in this process; nil: there is none now. It stays its owner's, who closes it.
func (c *Etcd) SetLocal(conn *grpc.ClientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.endpoints = slices.DeleteFunc(slices.Clone(c.endpoints), func(e *endpoint) bool { return e.local })
	if conn == nil {
		return
	}
	local := newEndpoint("in-process", conn, true)
	c.endpoints = append([]*endpoint{local}, c.endpoints...)
	c.wg.Go(func() { local.keepConnected(c.ctx) })
}

// findOrDial expects mu to be held.
func (c *Etcd) findOrDial(address string) (*endpoint, error) {
	for _, e := range c.endpoints {
		if e.name == address && !e.local {
			return e, nil
		}
	}
	e, err := dialEndpoint(address, c.opts)
	if err != nil {
		return nil, err
	}
	c.wg.Go(func() { e.keepConnected(c.ctx) })
	return e, nil
}

// Close implements Client.
func (c *Etcd) Close() error {
	c.mu.Lock()
	endpoints := c.endpoints
	c.endpoints, c.closed = nil, true
	c.mu.Unlock()
	c.cancel()
	var errs []error
	for _, e := range endpoints {
		if !e.local {
			errs = append(errs, e.conn.Close())
		}
	}
	c.wg.Wait()
	return errors.Join(errs...)
}

// hosts is the endpoints in the order in which a call should try them.
func (c *Etcd) hosts() []*endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tryOrder(c.endpoints, c.preferred, (*endpoint).ready)
}

func (c *Etcd) served(e *endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.preferred != e {
		c.preferred = e
		// At the first sign of a delay the next host is asked, and the first again after that: that is no news for an operator.
		c.log.Debug("using store host", "host", e.name)
	}
}

// background runs f while the client is open, and says whether it does.
func (c *Etcd) background(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}
