package rest

import (
	"errors"
	"net/http"
)

// withRouter answers when this host has no router.
func (s *Server) withRouter(w http.ResponseWriter) bool {
	if s.opt.Router == nil {
		s.problem(w, http.StatusNotFound, "this host has no router: its roles do not include proxy")
	}
	return s.opt.Router != nil
}

func (s *Server) v1Router(w http.ResponseWriter, _ *http.Request) {
	if s.withRouter(w) {
		s.json(w, http.StatusOK, s.opt.Router.Status())
	}
}

func (s *Server) v1Sessions(w http.ResponseWriter, _ *http.Request) {
	if s.withRouter(w) {
		s.json(w, http.StatusOK, struct {
			Sessions any `json:"sessions"`
		}{s.opt.Router.Sessions()})
	}
}

func (s *Server) v1KillSession(w http.ResponseWriter, r *http.Request) {
	if !s.withRouter(w) {
		return
	}
	switch err := s.opt.Router.Kill(r.PathValue("id")); {
	case errors.Is(err, ErrNoSession):
		s.problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		s.problem(w, http.StatusServiceUnavailable, err.Error())
	default:
		s.outcome(w, answer{http.StatusOK, "session " + r.PathValue("id") + " is ended"})
	}
}
