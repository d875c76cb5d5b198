package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

func (s *Server) healthInput(r *http.Request) HealthInput {
	in := HealthInput{Status: s.opt.Backend.Status(), Path: r.URL.EscapedPath(), Now: s.opt.Now()}
	if r.URL.RawQuery != "" {
		in.Query = r.URL.Query()
	}
	return in
}

// getHealth answers a health check with the node's status.
func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) {
	in := s.healthInput(r)
	s.status(w, Health(in), in)
}

// checkHealth answers a load balancer's HEAD or OPTIONS.
func (s *Server) checkHealth(w http.ResponseWriter, r *http.Request) {
	bare(w, Health(s.healthInput(r)))
}

func (s *Server) getLiveness(w http.ResponseWriter, r *http.Request) {
	bare(w, Liveness(s.healthInput(r)))
}

func (s *Server) getReadiness(w http.ResponseWriter, r *http.Request) {
	bare(w, Readiness(s.healthInput(r)))
}

func (s *Server) getPatroni(w http.ResponseWriter, r *http.Request) {
	s.status(w, http.StatusOK, s.healthInput(r))
}

func (s *Server) status(w http.ResponseWriter, code int, in HealthInput) {
	body, err := s.cache.body(in.Status, in.Now)
	if err != nil {
		s.opt.Logger.Error("status cannot be rendered", "error", err)
		s.page(w, http.StatusInternalServerError, "The status cannot be rendered.")
		return
	}
	s.reply(w, code, "application/json", body)
}

func (s *Server) getCluster(w http.ResponseWriter, r *http.Request) {
	if c := s.freshCluster(w, r); c != nil {
		s.json(w, http.StatusOK, newClusterBody(s.opt.Backend.Status().Scope, c))
	}
}

func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) {
	c := s.recentCluster(w, r)
	if c == nil {
		return
	}
	lines := c.History
	if lines == nil {
		lines = []dcs.HistoryLine{}
	}
	s.json(w, http.StatusOK, lines)
}

func (s *Server) getConfig(w http.ResponseWriter, r *http.Request) {
	c := s.recentCluster(w, r)
	switch {
	case c == nil:
	case c.ConfigRev == 0:
		s.page(w, http.StatusBadGateway, "The cluster has no configuration yet.")
	default:
		s.json(w, http.StatusOK, c.Config)
	}
}

func (s *Server) getFailsafe(w http.ResponseWriter, _ *http.Request) {
	f := s.opt.Backend.Status().Failsafe
	if !f.Enabled || f.Members == nil {
		s.page(w, http.StatusBadGateway, "failsafe_mode is not enabled.")
		return
	}
	s.json(w, http.StatusOK, f.Members)
}

// recentCluster is the node's own view while it is younger than the ttl, else a fresh one.
func (s *Server) recentCluster(w http.ResponseWriter, r *http.Request) *dcs.Cluster {
	if c := s.opt.Backend.Cluster(); c != nil && s.opt.Backend.Status().View.Fresh(s.opt.Now()) {
		return c
	}
	return s.freshCluster(w, r)
}

// freshCluster reads the store. When that fails it gives the newest view that the node has, and says so in the headers; when there
// is none it answers and gives nil.
func (s *Server) freshCluster(w http.ResponseWriter, r *http.Request) *dcs.Cluster {
	ctx, cancel := context.WithTimeout(r.Context(), s.opt.ReadTimeout)
	defer cancel()
	c, err := s.opt.Backend.ReadCluster(ctx)
	if err == nil {
		return c
	}
	if c = s.opt.Backend.Cluster(); c == nil {
		s.text(w, http.StatusServiceUnavailable, "DCS is not accessible: "+err.Error())
		return nil
	}
	if seen := s.opt.Backend.Status().View.SeenAt; !seen.IsZero() {
		w.Header().Set("Age", ageSeconds(s.opt.Now(), seen))
	}
	w.Header().Set("X-Quorate-Stale", "the store cannot be read; this is the newest view of node "+s.opt.Backend.Status().Name)
	s.opt.Logger.Debug("cluster told from the cached view", "error", err)
	return c
}

// ageSeconds is the value of the header Age (RFC 9111, section 5.1).
func ageSeconds(now, seen boottime.Instant) string {
	return strconv.FormatInt(int64(max(0, now.Sub(seen))/time.Second), 10)
}
