package proxy

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/internal/boottime"
)

// metrics are the router's numbers. Sessions and bytes of sessions that still run are read from them when asked (Collect).
type metrics struct {
	r            *Router
	tables       *prometheus.CounterVec
	acceptErrors *prometheus.CounterVec
	refused      *prometheus.CounterVec
	holds        *prometheus.CounterVec
	holdSeconds  *prometheus.HistogramVec
	connects     *prometheus.HistogramVec
	connectFails *prometheus.CounterVec
	ended        *prometheus.CounterVec
	cancels      *prometheus.CounterVec
	doneBytes    *prometheus.CounterVec // of sessions that are over
	live         liveDescs
}

type liveDescs struct{ sessions, bytes, held, age, valid *prometheus.Desc }

func newMetrics(r *Router, reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "quorate", Subsystem: "proxy", Name: name, Help: help}, labels)
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "quorate", Subsystem: "proxy", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}, labels)
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("quorate_proxy_"+name, help, labels, nil)
	}
	m := &metrics{
		r:            r,
		tables:       counter("tables_total", "Tables published, by outcome.", "outcome"),
		acceptErrors: counter("accept_errors_total", "Failures to accept a client.", "listener"),
		refused:      counter("refused_total", "Clients that got no session, by reason.", "listener", "reason"),
		holds:        counter("holds_total", "Clients that had to wait for a backend, by what was missing first.", "listener", "reason"),
		holdSeconds:  seconds("hold_seconds", "Time that clients waited for a backend.", "listener"),
		connects:     seconds("connect_seconds", "Time to connect to a backend.", "backend"),
		connectFails: counter("connect_failures_total", "Failed connects to a backend.", "backend"),
		ended:        counter("sessions_ended_total", "Sessions that are over, by reason.", "listener", "backend", "reason"),
		cancels:      counter("cancel_requests_total", "Cancel requests passed on.", "listener"),
		doneBytes:    counter("ended_sessions_bytes_total", "Bytes of sessions that are over.", "listener", "backend", "direction"),
		live: liveDescs{
			sessions: desc("sessions", "Present sessions.", "listener", "backend"),
			bytes:    desc("sessions_bytes", "Bytes that present sessions have carried.", "listener", "backend", "direction"),
			held:     desc("held_clients", "Clients that wait for a backend.", "listener"),
			age:      desc("table_age_seconds", "Time since the table in use was published."),
			valid:    desc("table_valid_seconds", "Time for which the table's word about the primary still holds; negative when it has expired."),
		},
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.tables), reg.Register(m.acceptErrors), reg.Register(m.refused), reg.Register(m.holds),
		reg.Register(m.holdSeconds), reg.Register(m.connects), reg.Register(m.connectFails), reg.Register(m.ended), reg.Register(m.cancels),
		reg.Register(m.doneBytes), reg.Register(m))
}

func (m *metrics) connected(backend string, took time.Duration, err error) {
	if err != nil {
		m.connectFails.WithLabelValues(backend).Inc()
		return
	}
	m.connects.WithLabelValues(backend).Observe(took.Seconds())
}

func (m *metrics) sessionOver(s *session, why reason) {
	l, b := s.l.opts().Name, s.backend.Name
	m.ended.WithLabelValues(l, b, string(why)).Inc()
	in, out := s.flow.Counts()
	m.doneBytes.WithLabelValues(l, b, "in").Add(float64(in))
	m.doneBytes.WithLabelValues(l, b, "out").Add(float64(out))
}

// rejected counts a client that gets no session; what it did is logged, at most once a second.
func (r *Router) rejected(o *opening, err error) {
	why := "first_packet"
	for cause, label := range map[error]string{
		errNotPostgres: "not_postgres", errProxyHeader: "proxy_header", errPlain: "not_encrypted", errFlood: "flood", errHoldTimeout: "hold_timeout", errHoldFull: "hold_full", errNoHold: "no_hold", errHangup: "hung_up", ErrStopped: "shutdown",
	} {
		if errors.Is(err, cause) {
			why = label
		}
	}
	r.metrics.refused.WithLabelValues(o.l.opts().Name, why).Inc()
	switch why {
	case "first_packet", "not_postgres", "proxy_header":
		o.l.malformed.Add(1)
	case "not_encrypted", "flood", "hold_full", "no_hold":
		o.l.denied.Add(1)
	}
	r.complain("a client got no session", "listener", o.l.opts().Name, "client", o.host, "reason", why, "err", err)
}

// Describe implements prometheus.Collector for what is read from the router's state.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.live.sessions, m.live.bytes, m.live.held, m.live.age, m.live.valid} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	live := m.r.liveBytes()
	for _, l := range m.r.listeners {
		if l.over() {
			continue
		}
		gauge(m.live.held, float64(len(l.queue.waiting)), l.opts().Name)
		for b, place := range l.places {
			t := live[pair{l, b}]
			gauge(m.live.sessions, float64(place.now), l.opts().Name, b)
			gauge(m.live.bytes, float64(t.in), l.opts().Name, b, "in")
			gauge(m.live.bytes, float64(t.out), l.opts().Name, b, "out")
		}
	}
	if m.r.table != nil {
		now := boottime.Now()
		gauge(m.live.age, now.Sub(m.r.tableAt).Seconds())
		gauge(m.live.valid, m.r.table.ValidUntil.Sub(now).Seconds())
	}
}
