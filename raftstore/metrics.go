package raftstore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's series. The names with etcd_ are those that etcd's dashboards and alerts ask for.
type metrics struct {
	reg        prometheus.Registerer
	registered []prometheus.Collector

	hasLeader, isLeader, committed, appliedIndex, pending prometheus.Gauge
	leaderChanges, renewals, expiries, confirmFailed      prometheus.Counter
	proposalsFailed                                       prometheus.Counter
	confirmSeconds, syncSeconds                           prometheus.Histogram
	peerSeconds                                           *prometheus.HistogramVec
	logStalled, term, logBytes, differ, isLearner, quota  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{reg: reg}
	gauge := func(name, help string) prometheus.Gauge {
		return keepMetric(m, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	counter := func(name, help string) prometheus.Counter {
		return keepMetric(m, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	m.hasLeader = gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.")
	m.isLeader = gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.")
	m.committed = gauge("etcd_server_proposals_committed_total", "The index of the newest committed log entry.")
	m.appliedIndex = gauge("etcd_server_proposals_applied_total", "The index of the newest applied log entry.")
	m.pending = gauge("etcd_server_proposals_pending", "The number of proposals in flight.")
	m.leaderChanges = counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.")
	m.proposalsFailed = counter("etcd_server_proposals_failed_total", "Proposals whose outcome their clients were not told.")
	m.isLearner = gauge("etcd_server_is_learner", "Whether or not this member has no vote. 1 if so, 0 otherwise.")
	m.quota = gauge("etcd_server_quota_backend_bytes", "The bound of the live data in bytes.")
	m.syncSeconds = keepMetric(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "etcd_disk_wal_fsync_duration_seconds", Help: "How long writes to the log took, until they were on the disk.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	}))
	m.peerSeconds = keepMetric(m, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "etcd_network_peer_round_trip_time_seconds", Help: "Round-trip time to peers.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	}, []string{"To"}))
	m.renewals = counter("quorate_store_lease_renewals_total", "Keep-alives that the leader acknowledged.")
	m.expiries = counter("quorate_store_lease_expiries_total", "Leases that the leader let expire.")
	m.confirmFailed = counter("quorate_store_confirmations_failed_total", "Rounds in which no quorum confirmed the leader.")
	m.confirmSeconds = keepMetric(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "quorate_store_confirmation_seconds", Help: "Time until a quorum confirmed the leader.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14),
	}))
	m.logStalled = gauge("quorate_store_log_stalled_seconds", "How long a write to the log has been hanging.")
	m.term = gauge("quorate_store_term", "The current Raft term.")
	m.differ = gauge("quorate_store_members_differing", "Members whose data differs from the leader's. Anything but 0 is an alarm.")
	m.logBytes = gauge("quorate_store_log_bytes", "Bytes in the Raft log.")
	return m
}

func keepMetric[C prometheus.Collector](m *metrics, c C) C {
	if m.reg != nil {
		m.reg.MustRegister(c)
		m.registered = append(m.registered, c)
	}
	return c
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.reg.Unregister(c)
	}
	m.registered = nil
}

// observe sets the gauges.
func (m *metrics) observe(s *Store, n *node) {
	m.hasLeader.Set(one(s.Leader() != 0))
	m.isLeader.Set(one(s.IsLeader()))
	m.isLearner.Set(one(s.IsLearner()))
	m.committed.Set(float64(n.raft.CommitIndex()))
	m.appliedIndex.Set(float64(s.state.progress.current()))
	m.pending.Set(float64(s.flow.inFlight.Load()))
	m.logStalled.Set(s.logs.stalledFor().Seconds())
	m.term.Set(float64(n.raft.CurrentTerm()))
	m.logBytes.Set(float64(s.logs.bytesAfter(0)))
}

// tellID shows the member's id.
func (m *metrics) tellID(id uint64) {
	keepMetric(m, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "etcd_server_id", Help: "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
		ConstLabels: prometheus.Labels{"server_id": FormatID(id)},
	})).Set(1)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) leaderChanged(known bool) {
	m.hasLeader.Set(one(known))
	if known {
		m.leaderChanges.Inc()
	}
}

func (m *metrics) renewed() { m.renewals.Inc() }
func (m *metrics) expired() { m.expiries.Inc() }

func (m *metrics) confirmed(took time.Duration, ok bool) {
	if !ok {
		m.confirmFailed.Inc()
		return
	}
	m.confirmSeconds.Observe(took.Seconds())
}
