package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"quorate/api/clusterbody"
	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

func (s *Server) healthInput(r *http.Request) HealthInput {
	in := HealthInput{Status: s.opt.Backend.Status(), Path: onlyOneSlash(r.URL.EscapedPath()), Now: s.opt.Now()}
	if r.URL.RawQuery != "" {
		in.Query = r.URL.Query()
	}
	return in
}

// onlyOneSlash takes the slashes at the start of a path for one, as Python's http.server does.
func onlyOneSlash(path string) string {
	if strings.HasPrefix(path, "//") {
		return "/" + strings.TrimLeft(path, "/")
	}
	return path
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
	c, stale := s.fresh(r.Context())
	if s.told(w, c, stale) {
		s.json(w, http.StatusOK, clusterbody.New(s.opt.Backend.Status().Scope, c))
	}
}

func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) {
	c, stale := s.recent(r.Context())
	if !s.told(w, c, stale) {
		return
	}
	lines := c.History
	if lines == nil {
		lines = []dcs.HistoryLine{}
	}
	s.json(w, http.StatusOK, lines)
}

func (s *Server) getConfig(w http.ResponseWriter, r *http.Request) {
	c, stale := s.recent(r.Context())
	switch {
	case !s.told(w, c, stale):
	case c.Config == nil:
		s.page(w, http.StatusBadGateway, "The cluster has no configuration, or one that cannot be read; PUT one.")
	default:
		s.json(w, http.StatusOK, c.Config)
	}
}

// told says whether there is a view to tell, and marks one that is old; when there is none it answers.
func (s *Server) told(w http.ResponseWriter, c *dcs.Cluster, stale error) bool {
	if c == nil {
		s.text(w, http.StatusServiceUnavailable, "DCS is not accessible: "+stale.Error())
		return false
	}
	s.markStale(w, stale)
	return true
}

func (s *Server) getFailsafe(w http.ResponseWriter, _ *http.Request) {
	f := s.opt.Backend.Status().Failsafe
	if !f.Enabled || f.Members == nil {
		s.page(w, http.StatusBadGateway, "failsafe_mode is not enabled.")
		return
	}
	s.json(w, http.StatusOK, f.Members)
}

// ageSeconds is the value of the header Age (RFC 9111, section 5.1).
func ageSeconds(now, seen boottime.Instant) string {
	return strconv.FormatInt(int64(max(0, now.Sub(seen))/time.Second), 10)
}
