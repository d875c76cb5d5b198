package dcsclient

import (
	"crypto/tls"
	"log/slog"
	"time"

	"google.golang.org/grpc"
)

// DefaultRequestTimeout bounds a call whose context has no earlier deadline: a store that answers later than this is of
// no use to a failover manager with a ttl of three seconds.
const DefaultRequestTimeout = 2 * time.Second

// Options of a client. Local, Endpoints or both must be there, though Endpoints may come later by SetEndpoints.
type Options struct {
	// Local is the store in this process, asked before every other. It stays its owner's and is not closed here.
	Local *grpc.ClientConn
	// Endpoints are the store hosts: host:port, or http://host:port and https://host:port as etcd writes them.
	Endpoints []string
	// TLS is for Endpoints but those that begin with http://; nil means plain connections.
	TLS *tls.Config
	// Username and Password, where the store keeps users.
	Username, Password string
	// RequestTimeout bounds calls whose context has no earlier deadline (DefaultRequestTimeout).
	RequestTimeout time.Duration
	// Logger receives host changes with the attribute component=dcsclient; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("component", "dcsclient")
	return o
}
