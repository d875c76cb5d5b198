package etcd3

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// metrics are the series of the front end, under the names that dashboards for etcd ask for. What is about consensus and
// disks, has_leader and the like, is the store's own.
type metrics struct {
	sentBytes, receivedBytes prometheus.Counter
	streamFailures           *prometheus.CounterVec
	clientRequests           *prometheus.CounterVec
	requests                 sync.Map // of clientRequests: its series by requestKey, for their look-up by labels is not for every call
	rpcStarted, rpcHandled   *prometheus.CounterVec
	msgReceived, msgSent     *prometheus.CounterVec
	healthSuccess, healthBad prometheus.Counter
	healthCheck              *prometheus.GaugeVec
	healthChecks             *prometheus.CounterVec
	rpcSeconds               *prometheus.HistogramVec // nil: not measured
	more                     []prometheus.Collector
	unregister               func()
}

// requestKey is a series of clientRequests.
type requestKey struct{ kind, version string }

// request counts calls by kind and API version of the client.
func (m *metrics) request(kind, version string) prometheus.Counter {
	key := requestKey{kind, version}
	if c, ok := m.requests.Load(key); ok {
		return c.(prometheus.Counter)
	}
	c := m.clientRequests.WithLabelValues(kind, version)
	m.requests.Store(key, c)
	return c
}

// newMetrics registers the series; an error means that the registry has one of them already.
func newMetrics(o Options) (*metrics, error) {
	counter := func(subsystem, name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "etcd", Subsystem: subsystem, Name: name, Help: help})
	}
	vec := func(namespace, subsystem, name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help,
		}, labels)
	}
	rpc := []string{"grpc_type", "grpc_service", "grpc_method"}
	m := &metrics{
		sentBytes:      counter("network", "client_grpc_sent_bytes_total", "Bytes sent to gRPC clients."),
		receivedBytes:  counter("network", "client_grpc_received_bytes_total", "Bytes received from gRPC clients."),
		streamFailures: vec("etcd", "network", "server_stream_failures_total", "Streams that failed on this side.", "Type", "API"),
		clientRequests: vec("etcd", "server", "client_requests_total", "Requests by API version of the client.", "type", "client_api_version"),
		rpcStarted:     vec("grpc", "server", "started_total", "RPCs started on the server.", rpc...),
		rpcHandled:     vec("grpc", "server", "handled_total", "RPCs completed on the server, by code.", append(rpc, "grpc_code")...),
		msgReceived:    vec("grpc", "server", "msg_received_total", "Messages received of clients.", rpc...),
		msgSent:        vec("grpc", "server", "msg_sent_total", "Messages sent to clients.", rpc...),
		healthSuccess:  counter("server", "health_success", "Health checks that succeeded."),
		healthBad:      counter("server", "health_failures", "Health checks that failed."),
		healthCheck: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "etcd", Subsystem: "server", Name: "healthcheck", Help: "Last result of each health check, 1 is good.",
		}, []string{"type", "name"}),
		healthChecks: vec("etcd", "server", "healthchecks_total", "Health checks by result.", "type", "name", "status"),
	}
	m.tellVersions(o)
	if o.ExtensiveMetrics {
		m.rpcSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grpc_server_handling_seconds", Help: "How long calls took until they were answered.", Buckets: prometheus.DefBuckets,
		}, rpc)
		m.more = append(m.more, m.rpcSeconds)
	}
	registered := make([]prometheus.Collector, 0, len(m.more)+12)
	m.unregister = func() {
		for _, c := range registered {
			o.Registerer.Unregister(c)
		}
	}
	for _, c := range append(m.more,
		m.sentBytes, m.receivedBytes, m.streamFailures, m.clientRequests, m.rpcStarted, m.rpcHandled, m.msgReceived,
		m.msgSent, m.healthSuccess, m.healthBad, m.healthCheck, m.healthChecks,
	) {
		if err := o.Registerer.Register(c); err != nil {
			m.unregister()
			return nil, fmt.Errorf("etcd3: registering metrics: %w", err)
		}
		registered = append(registered, c)
	}
	return m, nil
}

// tellVersions are the series that are 1 for what this server says it is.
func (m *metrics) tellVersions(o Options) {
	cluster := o.ClusterVersion
	if major, rest, ok := strings.Cut(cluster, "."); ok { // of the cluster the first two numbers, as etcd has it
		minor, _, _ := strings.Cut(rest, ".")
		cluster = major + "." + minor
	}
	for _, v := range []struct{ name, label, value string }{
		{"etcd_server_version", "server_version", o.Version},
		{"etcd_cluster_version", "cluster_version", cluster},
		{"etcd_server_go_version", "server_go_version", runtime.Version()},
	} {
		g := prometheus.NewGauge(prometheus.GaugeOpts{
			Name: v.name, Help: "Which version is running. 1 for the one in the label.", ConstLabels: prometheus.Labels{v.label: v.value},
		})
		g.Set(1)
		m.more = append(m.more, g)
	}
}

// streamFailed counts a stream that broke, unless it was the client that went away.
func (m *metrics) streamFailed(ctx context.Context, direction, api string, err error) {
	if ctx.Err() != nil {
		return
	}
	if code := status.Code(err); code == codes.Canceled || code == codes.DeadlineExceeded {
		return
	}
	m.streamFailures.WithLabelValues(direction, api).Inc()
}
