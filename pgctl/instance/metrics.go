package instance

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	operations *prometheus.CounterVec
	samples    *prometheus.CounterVec
	exits      prometheus.Counter
	lostBytes  prometheus.Counter
	lostXacts  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quorate_postgres_operations_total", Help: "Operations on the local PostgreSQL, by kind and outcome."}, []string{"operation", "outcome"}),
		samples: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quorate_postgres_samples_total", Help: "Looks at the local PostgreSQL, by outcome."}, []string{"outcome"}),
		exits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quorate_postgres_exits_total", Help: "Ends of the postmaster, asked for or not."}),
		lostBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quorate_postgres_diverged_bytes_total", Help: "Log given up by rewinds and clones, in bytes. It is kept aside."}),
		lostXacts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "quorate_postgres_diverged_transactions_total", Help: "Committed transactions given up by rewinds and clones. Their log is kept aside."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.operations, m.samples, m.exits, m.lostBytes, m.lostXacts} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "done"
}

func (m *metrics) operation(op string, err error) {
	m.operations.WithLabelValues(op, outcome(err)).Inc()
}
func (m *metrics) sample(err error) { m.samples.WithLabelValues(outcome(err)).Inc() }
