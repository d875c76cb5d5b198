package rest

import (
	"context"
	"net/http"
	"time"
)

// Process is the process that serves the API.
type Process interface {
	Info() ProcessInfo
	// Upgrade asks for a new process in its place. An error says why it goes on as it is.
	Upgrade(ctx context.Context) error
}

// ProcessInfo is the answer of GET /v1/process.
type ProcessInfo struct {
	PID        int       `json:"pid"`
	Product    string    `json:"product"`
	Exe        string    `json:"exe"` // the program that an upgrade starts
	Started    time.Time `json:"started"`
	Upgradable bool      `json:"upgradable"`
}

func (s *Server) v1Process(w http.ResponseWriter, _ *http.Request) {
	if s.opt.Process == nil {
		s.problem(w, http.StatusNotFound, "nothing is known of this process")
		return
	}
	s.json(w, http.StatusOK, s.opt.Process.Info())
}

func (s *Server) v1Upgrade(w http.ResponseWriter, r *http.Request) {
	if s.opt.Process == nil {
		s.problem(w, http.StatusNotFound, "this process cannot be upgraded")
		return
	}
	if err := s.opt.Process.Upgrade(r.Context()); err != nil {
		s.problem(w, http.StatusConflict, err.Error())
		return
	}
	s.outcome(w, answer{http.StatusAccepted, "another process takes over; GET /v1/process shows it when it is there"})
}
