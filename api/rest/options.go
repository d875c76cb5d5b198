package rest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/raftstore/dcs"
)

// Options is what a [Server] is made of.
type Options struct {
	Config  Config
	Backend Backend
	Keys    dcs.Keys // of the node's cluster

	Router  Router       // nil: this host has no router
	Members StoreMembers // nil: the store is not ours
	Process Process      // nil: nothing is told of the process

	// Profile gives the bounds for the corrections that are told when the configuration is changed.
	Profile dynamic.Profile
	// PeerKey authenticates the other nodes' requests, see [SignPeer]. Empty: they need what every writer needs.
	PeerKey []byte
	// Product goes into the header Server, for example "Quorate/1.0".
	Product string

	Registerer prometheus.Registerer // takes the server's own metrics; nil: none
	Gatherer   prometheus.Gatherer   // shown at /metrics after the node's; nil: nothing more
	Logger     *slog.Logger          // nil: slog.Default

	// Listen opens the listening socket; nil: net.Listen. An inherited socket comes in here.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
	// Now is the clock of leases; nil: boottime.Now.
	Now func() boottime.Instant

	// ReadTimeout bounds a read of the store; 0: 2 s.
	ReadTimeout time.Duration
	// WriteTimeout bounds a write to the store; 0: 10 s.
	WriteTimeout time.Duration
}

// Config is the section restapi of a node's configuration.
type Config struct {
	Listen                  string // host:port; the host "*" or "" is every address
	Username, Password      string // both empty: no password is asked for
	Allowlist               []string
	AllowlistIncludeMembers bool
	HTTPExtraHeaders        map[string]string
	HTTPSExtraHeaders       map[string]string // with TLS, in addition
	ServerTokens            string            // original (default), productonly or minimal
	TLS                     *TLS              // nil: plain HTTP
}

func (o *Options) setDefaults() error {
	if o.Backend == nil {
		return errors.New("rest: no backend")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("component", "rest")
	if o.Listen == nil {
		o.Listen = listen
	}
	if o.Now == nil {
		o.Now = boottime.Now
	}
	if o.Profile == (dynamic.Profile{}) {
		o.Profile = dynamic.EtcdProfile()
	}
	if o.Product == "" {
		o.Product = "Quorate"
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 2 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	return nil
}
