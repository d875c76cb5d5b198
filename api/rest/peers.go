package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// postFailsafe takes the message of a primary that cannot reach the store.
func (s *Server) postFailsafe(w http.ResponseWriter, r *http.Request) {
	if !s.opt.Backend.Status().Failsafe.Enabled {
		s.page(w, http.StatusBadGateway, ErrFailsafeOff.Error())
		return
	}
	var req FailsafeRequest
	if !s.decode(w, r, &req, s.page) {
		return
	}
	lsn, err := s.opt.Backend.Failsafe(r.Context(), req)
	switch {
	case errors.Is(err, ErrFailsafeOff):
		s.page(w, http.StatusBadGateway, err.Error())
	case err != nil:
		s.text(w, http.StatusInternalServerError, err.Error())
	default:
		w.Header()["lsn"] = []string{strconv.FormatUint(lsn, 10)} // in lower case, as Patroni sends it
		s.text(w, http.StatusOK, "Accepted")
	}
}

// postPledge takes another node's question in a race for the lead.
func (s *Server) postPledge(w http.ResponseWriter, r *http.Request) {
	var req PledgeRequest
	if !s.decode(w, r, &req, s.problem) {
		return
	}
	if req.From == "" || req.Term.Rev < 0 {
		s.problem(w, http.StatusBadRequest, "a pledge needs from, the asking node, and term, the terms that end")
		return
	}
	ctx, cancel := s.long(w, r)
	defer cancel()
	a, err := s.opt.Backend.Pledge(ctx, req)
	switch {
	case errors.Is(err, ErrPledgeRefused):
		s.problem(w, http.StatusConflict, err.Error())
	case err != nil:
		s.problem(w, http.StatusServiceUnavailable, err.Error())
	default:
		s.json(w, http.StatusOK, a)
	}
}

// decode reads a JSON object into v; fail tells an error in the form of the API that was asked. Unknown fields are passed over: the nodes may
// be of different versions.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, v any, fail func(http.ResponseWriter, int, string)) bool {
	body, code, why := readBody(w, r, maxActionBody)
	var fields map[string]json.RawMessage
	switch {
	case code != 0:
	case json.Unmarshal(body, &fields) != nil || len(fields) == 0:
		code, why = http.StatusBadRequest, "a JSON object is expected that is not empty"
	default:
		if err := json.Unmarshal(body, v); err != nil {
			code, why = http.StatusBadRequest, err.Error()
		}
	}
	if code != 0 {
		fail(w, code, why)
	}
	return code == 0
}

// postMPP takes the events of Citus workers, which nobody here waits for; Patroni without Citus answers the same.
func (s *Server) postMPP(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.object(w, r, maxActionBody, false); ok {
		s.text(w, http.StatusOK, "OK")
	}
}

// postSigterm exists for Patroni's tests on Windows; elsewhere it has never done anything.
func (s *Server) postSigterm(w http.ResponseWriter, _ *http.Request) {
	s.text(w, http.StatusAccepted, "shutdown scheduled")
}
