package rest

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's own.
type metrics struct {
	requests *prometheus.CounterVec
	known    map[string]bool
}

// newMetrics registers the metrics; a nil registerer leaves them unseen.
func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quorate_rest_requests_total",
			Help: "Requests to the REST API by method, first segment of the path, and code. Paths that nobody should ask for are counted as other.",
		}, []string{"method", "path", "code"}),
		known: map[string]bool{},
	}
	for _, p := range []string{
		"", "primary", "master", "leader", "standby-leader", "standby_leader", "replica", "read-write", "read-only", "sync", "synchronous",
		"quorum", "async", "asynchronous", "read-only-sync", "read-only-synchronous", "read-only-quorum", "health", "liveness",
		"readiness", "patroni", "cluster", "history", "config", "metrics", "failsafe", "reload", "restart", "reinitialize",
		"switchover", "failover", "mpp", "citus", "sigterm", "v1",
	} {
		m.known[p] = true
	}
	if r != nil {
		r.MustRegister(m.requests)
	}
	return m
}

// count counts an answer. What a client can invent must not become a label.
func (m *metrics) count(method, path string, code int) {
	if !m.known[path] {
		path = "other"
	}
	switch method {
	case "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, "/"+path, strconv.Itoa(code)).Inc()
}
