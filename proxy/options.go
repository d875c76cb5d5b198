package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Router. Zero durations and counts take the defaults named at each field.
type Options struct {
	Listeners []ListenerOptions
	Zone      string // this host's zone, for the balance "nearest"

	MaxSessions int // of all listeners together; 0: as many as the process has file descriptors for

	StartTimeout   time.Duration // for a client's first packet; 15s
	ConnectTimeout time.Duration // for a connection to a backend; 2s
	LingerTimeout  time.Duration // for a client to close after its server has, without any byte passing; 1m
	StaleReads     time.Duration // for which an expired table still serves replicas; 10m; negative: not at all
	TCP            TCPOptions

	AccessLog bool // one log line at the end of each session

	// Listen opens a listener's socket; nil: they are bound here. Sockets that were inherited (socket activation, an upgrade) come in
	// through it: network is "tcp" or "unix", address as configured.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)

	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: metrics are kept and not exported
}

// TCPOptions find dead peers on both legs of a session.
type TCPOptions struct {
	KeepAliveIdle     time.Duration // silence before the first probe; 10s
	KeepAliveInterval time.Duration // between probes; 5s
	KeepAliveCount    int           // unanswered probes that end a session; 3
	UserTimeout       time.Duration // of silence while sent bytes are unacknowledged; a peer that answers and only does not read is alive; 30s
}

// ListenerOptions are one entry of proxy.listeners.
type ListenerOptions struct {
	Name   string
	Listen string // "*:5000", "10.0.0.1:5000", "[::1]:5000", or the absolute path of a UNIX socket
	Rule   Rule
	Hold   HoldOptions

	TLS *TLSOptions // nil: TLS passes through to the server

	ProxyFrom []netip.Prefix // peers that begin with a PROXY header (version 1 or 2), all of them: balancers in front of the router
	SendProxy bool           // begin connections to backends with a PROXY header, version 2; PostgreSQL itself does not understand it

	MaxSessions   int // sessions of this listener; 0: no limit. Clients over a limit wait as under Hold.
	MaxPerBackend int // sessions of this listener on one backend; 0: no limit
	MaxPerClient  int // sessions of this listener from one address; 0: no limit
}

// HoldOptions bound the clients that wait for a backend.
type HoldOptions struct {
	Timeout    time.Duration // per client, from its first packet; 30s; negative: nobody waits
	MaxClients int           // 4096
	MaxBytes   int64         // of first packets kept; 16 MiB
}

// DefaultListeners are the two that HAProxy has in a Patroni cluster's usual configuration.
func DefaultListeners() []ListenerOptions {
	return []ListenerOptions{
		{Name: "primary", Listen: "*:5000", Rule: Rule{Target: TargetPrimary}},
		{Name: "replica", Listen: "*:5001", Rule: Rule{Target: TargetReplica}},
	}
}

// withDefaults fills what was left zero.
func (o Options) withDefaults() Options {
	orDefault(&o.StartTimeout, 15*time.Second)
	orDefault(&o.ConnectTimeout, 2*time.Second)
	orDefault(&o.LingerTimeout, time.Minute)
	orDefault(&o.StaleReads, 10*time.Minute)
	o.StaleReads = max(0, o.StaleReads)
	orDefault(&o.TCP.KeepAliveIdle, 10*time.Second)
	orDefault(&o.TCP.KeepAliveInterval, 5*time.Second)
	orDefault(&o.TCP.KeepAliveCount, 3)
	orDefault(&o.TCP.UserTimeout, 30*time.Second)
	if o.Listen == nil {
		o.Listen = Listen
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Listeners = append([]ListenerOptions(nil), o.Listeners...)
	for i := range o.Listeners {
		h := &o.Listeners[i].Hold
		orDefault(&h.Timeout, 30*time.Second)
		orDefault(&h.MaxClients, 4096)
		orDefault(&h.MaxBytes, 16<<20)
	}
	return o
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// validate reports every listener that cannot work, not only the first.
func (o Options) validate() error {
	var errs []error
	names := make(map[string]bool)
	for i, l := range o.Listeners {
		at := fmt.Sprintf("proxy.listeners[%d] (%s)", i, l.Name)
		if l.Name == "" || names[l.Name] {
			errs = append(errs, fmt.Errorf("%s: name: found %q, expected a name that no other listener has", at, l.Name))
		}
		names[l.Name] = true
		if _, _, err := listenAddress(l.Listen); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
		if err := l.Rule.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
	}
	return errors.Join(errs...)
}

// listenAddress turns what a configuration says into what net.Listen takes.
func listenAddress(s string) (network, address string, err error) {
	if strings.HasPrefix(s, "/") {
		return "unix", s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("listen: found %q, expected address:port, *:port or the path of a UNIX socket", s)
	}
	if host == "*" {
		host = ""
	}
	return "tcp", net.JoinHostPort(host, port), nil
}
