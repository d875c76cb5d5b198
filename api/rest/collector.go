package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// collector shows the node's status as Patroni's metrics.
type collector struct{ s *Server }

// nodeMetric is one of Patroni's metrics. Value reports false when the metric is not shown.
type nodeMetric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(s *NodeStatus, fresh bool) (float64, bool)
}

// Describe is empty: the labels hold the scope and name, which the node may learn late.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	status := c.s.opt.Backend.Status()
	fresh := status.View.Fresh(c.s.opt.Now())
	labels := prometheus.Labels{"scope": status.Scope, "name": status.Name}
	for _, m := range nodeMetrics {
		if v, ok := m.value(status, fresh); ok {
			out <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, nil, labels), m.kind, v)
		}
	}
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) {
	all := prometheus.Gatherers{s.node}
	if s.opt.Gatherer != nil {
		all = append(all, s.opt.Gatherer)
	}
	p := s.policy.Load()
	w.Header().Set("Server", p.server)
	for name, value := range p.headers {
		w.Header().Set(name, value)
	}
	promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: quietLog(s.opt.Logger)}).ServeHTTP(w, r)
}

func gauge(name, help string, value func(s *NodeStatus, fresh bool) float64) nodeMetric {
	return nodeMetric{name, help, prometheus.GaugeValue, func(s *NodeStatus, fresh bool) (float64, bool) { return value(s, fresh), true }}
}

func flag(name, help string, value func(s *NodeStatus, fresh bool) bool) nodeMetric {
	return gauge(name, help, func(s *NodeStatus, fresh bool) float64 { return number01(value(s, fresh)) })
}

// counter shows a position of the WAL, which only an answering PostgreSQL tells.
func counter(name, help string, value func(p Postgres) uint64) nodeMetric {
	return nodeMetric{name, help, prometheus.CounterValue, func(s *NodeStatus, _ bool) (float64, bool) {
		if !s.Postgres.Answering {
			return 0, true
		}
		return float64(value(s.Postgres)), true
	}}
}

func number01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

// versionMetric turns 4.1.4 into 40104.
func versionMetric(version string) float64 {
	n := 0
	for part := range strings.SplitSeq(version, ".") {
		digits, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		n = n*100 + digits
	}
	return float64(n)
}
