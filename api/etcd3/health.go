package etcd3

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// healthBody is the body of /health; health is the word "true" or "false", not a boolean.
type healthBody struct {
	Health string `json:"health"`
	Reason string `json:"reason"`
}

// serveHealth is /health: alarms, a leader, and a read, linearizable unless the query has serializable=true. The query's
// exclude names alarms to overlook.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	serializable := query.Get("serializable") == "true"
	reason := s.sickness(r.Context(), query["exclude"], serializable)
	if reason != "" {
		s.metrics.healthBad.Inc()
		s.log.Warn("unhealthy", "reason", reason)
		writeJSON(w, http.StatusServiceUnavailable, healthBody{"false", reason})
		return
	}
	s.metrics.healthSuccess.Inc()
	writeJSON(w, http.StatusOK, healthBody{"true", ""})
}

// sickness is why this member is unhealthy, in etcd's words, or empty.
func (s *Server) sickness(ctx context.Context, excluded []string, serializable bool) string {
	if !serializable && s.opts.Store.Leader() == 0 {
		return "RAFT NO LEADER"
	}
	alarms, err := s.alarms(ctx)
	if err != nil {
		return "RANGE ERROR:" + rpctypes.ErrorDesc(toStatus(err))
	}
	for _, a := range alarms {
		if !slices.Contains(excluded, a.String()) {
			return "ALARM " + a.String()
		}
	}
	if err := s.probeRead(ctx, serializable); err != nil {
		return "RANGE ERROR:" + rpctypes.ErrorDesc(toStatus(err))
	}
	return ""
}

func (s *Server) alarms(ctx context.Context) ([]pb.AlarmType, error) {
	ctx, cancel := context.WithTimeout(s.permit.root(ctx), s.probeTimeout())
	defer cancel()
	resp, err := s.opts.Store.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
	if err != nil {
		return nil, err
	}
	var active []pb.AlarmType
	for _, a := range resp.Alarms {
		if a.Alarm != pb.AlarmType_NONE {
			active = append(active, a.Alarm)
		}
	}
	return active, nil
}

// probeRead reads one key, which need not exist.
func (s *Server) probeRead(ctx context.Context, serializable bool) error {
	ctx, cancel := context.WithTimeout(s.permit.root(ctx), s.probeTimeout())
	defer cancel()
	_, err := s.opts.Store.Range(ctx, &pb.RangeRequest{
		Key: []byte("health"), KeysOnly: true, Limit: 1, Serializable: serializable,
	})
	return err
}

// probeTimeout is etcd's bound on a request: five seconds for queues and disks and two elections.
func (s *Server) probeTimeout() time.Duration {
	return 5*time.Second + 2*s.opts.Store.ElectionTimeout()
}

// probe is one of the Kubernetes style pages, /livez and /readyz: a set of named checks, all on the page itself, each on a
// page below it.
type probe struct {
	name   string
	checks map[string]func(context.Context) error
	server *Server
}

func (s *Server) probes() []probe {
	serializable := func(ctx context.Context) error { return s.probeRead(ctx, true) }
	return []probe{
		{"livez", map[string]func(context.Context) error{
			"serializable_read": serializable,
		}, s},
		{"readyz", map[string]func(context.Context) error{
			"data_corruption":   s.checkCorruption,
			"serializable_read": serializable,
			"linearizable_read": func(ctx context.Context) error { return s.probeRead(ctx, false) },
			"non_learner":       s.checkVoter,
		}, s},
	}
}

func (s *Server) checkCorruption(ctx context.Context) error {
	alarms, err := s.alarms(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(alarms, pb.AlarmType_CORRUPT) {
		return fmt.Errorf("alarm activated: %s", pb.AlarmType_CORRUPT)
	}
	return nil
}

func (s *Server) checkVoter(context.Context) error {
	if l, ok := s.opts.Store.(learner); ok && l.IsLearner() {
		return fmt.Errorf("not supported for learner")
	}
	return nil
}

func (p probe) install(mux *http.ServeMux) {
	mux.Handle("/"+p.name, getOnly(func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, func(check string) bool { return !slices.Contains(r.URL.Query()["exclude"], check) })
	}))
	for only := range p.checks {
		mux.Handle("/"+p.name+"/"+only, getOnly(func(w http.ResponseWriter, r *http.Request) {
			p.serve(w, r, func(check string) bool { return check == only })
		}))
	}
}

// serve runs the wanted checks. The list of results is shown when one failed, or on request (?verbose).
func (p probe) serve(w http.ResponseWriter, r *http.Request, wanted func(string) bool) {
	var report strings.Builder
	ok := true
	for _, name := range slices.Sorted(maps.Keys(p.checks)) {
		if !wanted(name) {
			continue
		}
		if err := p.checks[name](r.Context()); err != nil {
			ok = false
			fmt.Fprintf(&report, "[-]%s failed: %v\n", name, err)
			p.record(name, "error", 0)
			continue
		}
		fmt.Fprintf(&report, "[+]%s ok\n", name)
		p.record(name, "success", 1)
	}
	if !ok {
		http.Error(w, report.String(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !r.URL.Query().Has("verbose") {
		report.Reset()
	}
	fmt.Fprint(w, report.String(), "ok\n")
}

func (p probe) record(check, status string, value float64) {
	p.server.metrics.healthCheck.WithLabelValues(p.name, check).Set(value)
	p.server.metrics.healthChecks.WithLabelValues(p.name, check, status).Inc()
}
