package rest

import "net/http"

func (s *Server) v1Config(w http.ResponseWriter, r *http.Request) {
	c, stale := s.recent(r.Context())
	switch {
	case c == nil:
		s.problem(w, http.StatusServiceUnavailable, noView+stale.Error())
	case c.Config == nil:
		s.problem(w, http.StatusNotFound, "the cluster has no configuration, or one that cannot be read; PUT one")
	default:
		s.markStale(w, stale)
		s.json(w, http.StatusOK, c.Config)
	}
}

func (s *Server) v1PatchConfig(w http.ResponseWriter, r *http.Request) {
	s.configAnswer(w, r, s.mergeConfig, s.problem)
}

func (s *Server) v1PutConfig(w http.ResponseWriter, r *http.Request) {
	s.configAnswer(w, r, s.replaceConfig, s.problem)
}

func (s *Server) v1Pause(w http.ResponseWriter, r *http.Request) { s.setPause(w, r, true, "paused") }

func (s *Server) v1Resume(w http.ResponseWriter, r *http.Request) {
	s.setPause(w, r, nil, "resumed")
}

func (s *Server) setPause(w http.ResponseWriter, r *http.Request, value any, done string) {
	if _, bad := s.mergeConfig(r.Context(), map[string]any{"pause": value}); bad != nil {
		s.problem(w, bad.code, bad.text)
		return
	}
	s.outcome(w, answer{http.StatusOK, "cluster management is " + done})
}

// action reads an optional body and tells the outcome of what is done with it.
func (s *Server) action(w http.ResponseWriter, r *http.Request, do func(body map[string]any) answer) {
	body, bad := s.readObject(w, r, maxActionBody, true)
	if bad != nil {
		s.problem(w, bad.code, bad.text)
		return
	}
	s.outcome(w, do(body))
}

func (s *Server) v1Switchover(w http.ResponseWriter, r *http.Request) {
	s.action(w, r, func(b map[string]any) answer { return s.handover(w, r, "switchover", b) })
}

func (s *Server) v1Failover(w http.ResponseWriter, r *http.Request) {
	s.action(w, r, func(b map[string]any) answer { return s.handover(w, r, "failover", b) })
}

func (s *Server) v1CancelSwitchover(w http.ResponseWriter, r *http.Request) {
	s.outcome(w, s.cancelSwitchover(r))
}

func (s *Server) v1Restart(w http.ResponseWriter, r *http.Request) {
	s.action(w, r, func(b map[string]any) answer { return s.restart(w, r, b) })
}

func (s *Server) v1CancelRestart(w http.ResponseWriter, r *http.Request) {
	s.outcome(w, s.cancelRestart(r))
}
func (s *Server) v1Reload(w http.ResponseWriter, r *http.Request) {
	s.outcome(w, s.reload(r))
}

func (s *Server) v1Reinitialize(w http.ResponseWriter, r *http.Request) {
	s.action(w, r, func(b map[string]any) answer { return s.reinitialize(w, r, b) })
}
