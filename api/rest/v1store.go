package rest

import (
	"errors"
	"net/http"
)

const noStore = "this cluster's state lies in a store that is not Quorate's: manage its members with its own tools"

// withStore answers when there is no store of ours.
func (s *Server) withStore(w http.ResponseWriter) bool {
	if s.opt.Members == nil {
		s.problem(w, http.StatusNotFound, noStore)
	}
	return s.opt.Members != nil
}

func (s *Server) v1Members(w http.ResponseWriter, r *http.Request) {
	if !s.withStore(w) {
		return
	}
	list, err := s.opt.Members.List(r.Context())
	if err != nil {
		s.memberProblem(w, err)
		return
	}
	if list == nil {
		list = []StoreMember{}
	}
	s.json(w, http.StatusOK, struct {
		Members []StoreMember `json:"members"`
	}{list})
}

func (s *Server) v1AddMember(w http.ResponseWriter, r *http.Request) {
	if !s.withStore(w) {
		return
	}
	body, bad := s.readObject(w, r, maxActionBody, false)
	if bad != nil {
		s.problem(w, bad.code, bad.text)
		return
	}
	name, okName := textOf(body, "name")
	peer, okPeer := textOf(body, "peer_url")
	if !okName || !okPeer || peer == "" {
		s.problem(w, http.StatusBadRequest, `expected {"name": "...", "peer_url": "http://address:2380"}`)
		return
	}
	m, err := s.opt.Members.Add(r.Context(), name, peer)
	if err != nil {
		s.memberProblem(w, err)
		return
	}
	s.json(w, http.StatusCreated, m)
}

func (s *Server) v1PromoteMember(w http.ResponseWriter, r *http.Request) {
	if !s.withStore(w) {
		return
	}
	if err := s.opt.Members.Promote(r.Context(), r.PathValue("id")); err != nil {
		s.memberProblem(w, err)
		return
	}
	s.outcome(w, answer{http.StatusOK, "member " + r.PathValue("id") + " is a voter"})
}

func (s *Server) v1RemoveMember(w http.ResponseWriter, r *http.Request) {
	if !s.withStore(w) {
		return
	}
	if err := s.opt.Members.Remove(r.Context(), r.PathValue("id")); err != nil {
		s.memberProblem(w, err)
		return
	}
	s.outcome(w, answer{http.StatusOK, "member " + r.PathValue("id") + " is removed"})
}

func (s *Server) memberProblem(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrNoMember):
		code = http.StatusNotFound
	case errors.Is(err, ErrBadMember):
		code = http.StatusBadRequest
	case errors.Is(err, ErrMemberRefused):
		code = http.StatusPreconditionFailed
	}
	s.problem(w, code, err.Error())
}
