package etcdv2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// Options of a client. Endpoints and Keys are required.
type Options struct {
	// Endpoints are the hosts of etcd: http://host:port or https://host:port.
	Endpoints []string
	// Fixed says that other hosts are not asked for: the endpoints are proxies, and what etcd calls its members lies behind them.
	Fixed bool
	// Keys are those of the cluster: which of them is the leader key decides how a transaction is made.
	Keys dcs.Keys
	// Name is this node's: the leader key with this name in it may be taken up by Adopt.
	Name string
	// TLS is for endpoints with https; nil means the system's authorities.
	TLS *tls.Config
	// Username and Password, where etcd keeps users.
	Username, Password string
	// RequestTimeout bounds calls whose context has no earlier deadline (dcsclient.DefaultRequestTimeout).
	RequestTimeout time.Duration
	// Logger receives host changes with the attribute component=dcsclient; nil discards them.
	Logger *slog.Logger
}

// Client is the [dcsclient.Client] over etcd's v2 API.
type Client struct {
	opts   Options
	log    *slog.Logger
	http   *http.Client
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	writes chan struct{} // holds one token: transactions and renewals come one after the other

	mu         sync.Mutex // guards the fields below
	configured []*host
	machines   []*host // what etcd calls its members, beyond the configured
	preferred  *host   // the one that served last
	closed     bool
	cluster    uint64 // of the last Load; watches hold to it
	leases     map[int64]*lease
	held       map[string]*held // the keys that leases of this client hold
}

var _ dcsclient.Client = (*Client)(nil)

// host is one endpoint.
type host struct {
	name string // its URL, without a path

	mu      sync.Mutex // guards suspect
	suspect chan struct{}
}

// connectTimeout bounds the opening of a connection: a host that is off must leave time for the next one.
const connectTimeout = 400 * time.Millisecond

// New makes a client; it does not wait for a connection. The caller calls Close.
func New(opts Options) (*Client, error) {
	if opts.RequestTimeout <= 0 {
		opts.RequestTimeout = dcsclient.DefaultRequestTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		opts: opts, log: opts.Logger.With("component", "dcsclient"), writes: make(chan struct{}, 1),
		leases: map[int64]*lease{}, held: map[string]*held{},
	}
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: opts.TLS, TLSHandshakeTimeout: connectTimeout,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		},
		// A follower of etcd 2 may send a client to the leader; what a redirect does to a write is not worth finding out.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.SetEndpoints(opts.Endpoints); err != nil {
		c.cancel()
		return nil, err
	}
	if !opts.Fixed {
		c.wg.Go(c.lookAround)
	}
	return c, nil
}

// SetEndpoints replaces the configured hosts.
func (c *Client) SetEndpoints(addresses []string) error {
	hosts, err := c.hostsOf(addresses)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return dcsclient.ErrClosed
	}
	c.configured = hosts
	return nil
}

// hostsOf turns URLs into hosts; one that is known stays the same.
func (c *Client) hostsOf(addresses []string) ([]*host, error) {
	c.mu.Lock()
	known := slices.Concat(c.configured, c.machines)
	c.mu.Unlock()
	var out []*host
	for _, a := range addresses {
		if !strings.Contains(a, "://") {
			a = "http://" + a
		}
		u, err := url.Parse(a)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("store host %q: expected http://host:port or https://host:port", a)
		}
		name := u.Scheme + "://" + u.Host
		same := func(h *host) bool { return h.name == name }
		if slices.ContainsFunc(out, same) {
			continue
		}
		if i := slices.IndexFunc(known, same); i >= 0 {
			out = append(out, known[i])
			continue
		}
		out = append(out, &host{name: name, suspect: make(chan struct{})})
	}
	return out, nil
}

// hosts are in the order in which a call should try them: the one that served last, then the others, starting behind it.
func (c *Client) hosts() []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.configured)
	for _, h := range c.machines {
		if !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	if i := slices.Index(all, c.preferred); i > 0 {
		all = append(all[i:], all[:i]...)
	}
	return all
}

func (c *Client) served(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.preferred != h {
		c.preferred = h
		c.log.Info("using store host", "host", h.name)
	}
}

// background runs f while the client is open, and says whether it does.
func (c *Client) background(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}

// Close implements [dcsclient.Client]. What a lease holds ends by itself.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// turn waits for the right to write; done gives it back.
func (c *Client) turn(ctx context.Context) (done func(), err error) {
	select {
	case c.writes <- struct{}{}:
		return func() { <-c.writes }, nil
	case <-ctx.Done():
		if c.ctx.Err() != nil {
			return nil, dcsclient.ErrClosed
		}
		return nil, fmt.Errorf("%w: an earlier request is not answered: %w", dcsclient.ErrUnavailable, ctx.Err())
	}
}

// suspected is closed when a call to this host next runs into its time limit: a watch on it may be dead, too.
func (h *host) suspected() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.suspect
}

func (h *host) raiseSuspicion() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.suspect)
	h.suspect = make(chan struct{})
}

// bounded gives a call the client's own time limit and ends it with the client.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.RequestTimeout)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// errNoHost means that no endpoint is configured.
var errNoHost = errors.New("no store host is known")
