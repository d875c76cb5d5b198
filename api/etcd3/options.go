package etcd3

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits that clients see; the values are etcd's defaults (https://etcd.io/docs/v3.5/dev-guide/limit/).
const (
	// DefaultMaxRequestBytes bounds one request.
	DefaultMaxRequestBytes = 1.5 * 1024 * 1024
	// DefaultMaxTxnOps bounds the operations of a transaction; what a level takes is gone for the levels nested in it.
	DefaultMaxTxnOps = 128
	// DefaultProgressInterval is how long a watch that asked for progress notices stays silent.
	DefaultProgressInterval = 10 * time.Minute

	// requestOverhead is what gRPC framing and repeated fields may add to a request at the limit.
	requestOverhead = 512 * 1024
	// minProgressInterval keeps a mistyped interval from turning watches into a flood.
	minProgressInterval = 100 * time.Millisecond
)

// Versions that the front end presents. Patroni splits them at the dots and calls int() on each part, so they carry no
// suffix. 3.5 is the newest line whose clients expect both the v2 and the v3 API.
const (
	DefaultVersion        = "3.5.33"
	DefaultClusterVersion = "3.5.0"
)

// Options of a Server. Store is required; the zero value of the rest is the default named at it.
type Options struct {
	Store Store
	// Logger receives one line per event with the attribute component=etcd3; nil discards them.
	Logger *slog.Logger
	// Registerer receives the etcd_ and grpc_server_ series of this front end; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// Gatherer is what /metrics shows; nil leaves the page out.
	Gatherer prometheus.Gatherer
	// Handlers are further paths of the HTTP side by pattern of http.ServeMux, as "/v2/" for the v2 API.
	Handlers map[string]http.Handler

	// Access restricts who may use the HTTP side of Serve; nil: any host's name, and no web page of another origin.
	Access *Access

	// CertUsers says that certificates are users, as under etcd's --client-cert-auth. The JSON gateway then refuses who shows one with a name
	// while users are checked: it would not count.
	CertUsers bool

	// Version and ClusterVersion are what /version and Status present: three numbers, no suffix.
	Version, ClusterVersion string
	// MaxRequestBytes bounds one request (DefaultMaxRequestBytes).
	MaxRequestBytes int
	// MaxTxnOps bounds one level of a transaction (DefaultMaxTxnOps).
	MaxTxnOps int
	// ProgressInterval is the silence before a progress notice (DefaultProgressInterval), at least 100 ms.
	ProgressInterval time.Duration
	// ExtensiveMetrics measures how long each unary call takes, in grpc_server_handling_seconds.
	ExtensiveMetrics bool
	// MaxConcurrentStreams bounds the calls at a time of one client, and of all clients of the JSON gateway together, as in
	// etcd; 0: no bound.
	MaxConcurrentStreams uint32
}

// ErrNoStore says that Options.Store was left out.
var ErrNoStore = errors.New("etcd3: Options.Store is required")

func (o Options) withDefaults() (Options, error) {
	if o.Store == nil {
		return o, ErrNoStore
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("component", "etcd3")
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if o.ClusterVersion == "" {
		o.ClusterVersion = DefaultClusterVersion
	}
	if o.MaxRequestBytes <= 0 {
		o.MaxRequestBytes = DefaultMaxRequestBytes
	}
	if o.MaxTxnOps <= 0 {
		o.MaxTxnOps = DefaultMaxTxnOps
	}
	if o.ProgressInterval <= 0 {
		o.ProgressInterval = DefaultProgressInterval
	}
	if o.MaxConcurrentStreams == 0 {
		o.MaxConcurrentStreams = math.MaxUint32
	}
	o.ProgressInterval = max(o.ProgressInterval, minProgressInterval)
	return o, nil
}
