package rest

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
)

// answer is the outcome of an action, in Patroni's words.
type answer struct {
	code int
	text string
}

// postRestart restarts PostgreSQL, and answers when it is up again; or remembers to do so.
func (s *Server) postRestart(w http.ResponseWriter, r *http.Request) {
	body, ok := s.object(w, r, maxActionBody, true)
	if !ok {
		return
	}
	a := s.restart(w, r, body)
	s.text(w, a.code, a.text)
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request, body map[string]any) answer {
	status := s.opt.Backend.Status()
	if _, later := body["schedule"]; later && status.View.Paused {
		return answer{http.StatusInternalServerError, "Can't schedule restart in the paused state"}
	}
	req, bad := parseRestart(body, time.Now())
	if bad != nil {
		return *bad
	}
	ctx, cancel := s.long(w, r)
	defer cancel()
	if !req.Schedule.IsZero() {
		return restartScheduled(s.opt.Backend.ScheduleRestart(ctx, req))
	}
	if ok, why := req.Matches(status); !ok {
		s.opt.Logger.Info("restart refused", "reason", why)
		return answer{http.StatusServiceUnavailable, ErrRestartConditions.Error()}
	}
	if err := s.opt.Backend.Restart(ctx, req); err != nil {
		return failed(err)
	}
	return answer{http.StatusOK, "restarted successfully"}
}

func restartScheduled(err error) answer {
	switch {
	case err == nil:
		return answer{http.StatusAccepted, "Restart scheduled"}
	case errors.Is(err, ErrRestartScheduled):
		return answer{http.StatusConflict, err.Error()}
	}
	return failed(err)
}

// failed is the answer for an action that could not be done now. Joined errors come on one line.
func failed(err error) answer {
	return answer{http.StatusServiceUnavailable, strings.ReplaceAll(err.Error(), "\n", ": ")}
}

// parseRestart reads the body of a restart. Its fields are checked in the order of their names, so that a body with two mistakes always
// gets the same answer.
func parseRestart(body map[string]any, now time.Time) (RestartRequest, *answer) {
	var req RestartRequest
	for _, key := range dynamic.SortedKeys(body) {
		if a := req.set(key, body[key], now); a != nil {
			return req, a
		}
	}
	return req, nil
}

func (req *RestartRequest) set(key string, value any, now time.Time) *answer {
	text := dynamic.Text(value)
	switch key {
	case "schedule":
		at, code, why := parseSchedule(value, "restart", now)
		if code != 0 {
			return &answer{code, why}
		}
		req.Schedule = at
	case "role":
		req.Role = Role(text)
		if req.Role != RolePrimary && req.Role != RoleStandbyLeader && req.Role != RoleReplica {
			return &answer{http.StatusBadRequest, "PostgreSQL role should be either primary, standby_leader, or replica"}
		}
	case "postgres_version":
		if _, err := versionNumber(text); err != nil {
			return &answer{http.StatusBadRequest, err.Error()}
		}
		req.PostgresVersion = text
	case "timeout":
		d, err := dynamic.Duration(value, time.Second)
		if err != nil || d < time.Second {
			return &answer{http.StatusBadRequest, "Timeout should be a positive number of seconds"}
		}
		req.Timeout = d
	case "restart_pending":
		req.Pending = true // as in Patroni: that it is there counts, not its value
	default:
		return &answer{http.StatusBadRequest, "Unknown filter for the scheduled restart: " + key}
	}
	return nil
}

func (s *Server) deleteRestart(w http.ResponseWriter, r *http.Request) {
	a := s.cancelRestart(r)
	s.text(w, a.code, a.text)
}

func (s *Server) cancelRestart(r *http.Request) answer {
	switch err := s.opt.Backend.CancelRestart(r.Context()); {
	case err == nil:
		return answer{http.StatusOK, "scheduled restart deleted"}
	case errors.Is(err, ErrNoRestart):
		return answer{http.StatusNotFound, err.Error()}
	default:
		return failed(err)
	}
}

func (s *Server) postReload(w http.ResponseWriter, r *http.Request) {
	a := s.reload(r)
	s.text(w, a.code, a.text)
}

func (s *Server) reload(r *http.Request) answer {
	if err := s.opt.Backend.Reload(r.Context()); err != nil {
		return failed(err)
	}
	return answer{http.StatusAccepted, "reload scheduled"}
}

func (s *Server) postReinitialize(w http.ResponseWriter, r *http.Request) {
	body, ok := s.object(w, r, maxActionBody, true)
	if !ok {
		return
	}
	a := s.reinitialize(w, r, body)
	s.text(w, a.code, a.text)
}

func (s *Server) reinitialize(w http.ResponseWriter, r *http.Request, body map[string]any) answer {
	ctx, cancel := s.long(w, r)
	defer cancel()
	req := ReinitRequest{Force: truthy(body["force"]), FromLeader: truthy(body["from_leader"])}
	if err := s.opt.Backend.Reinitialize(ctx, req); err != nil {
		return failed(err)
	}
	return answer{http.StatusOK, "reinitialize started"}
}
