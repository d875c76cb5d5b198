package rest

import (
	"maps"
	"net/http"

	"quorate/raftstore/dcs"
)

// v1ForgetMember takes a data host that is gone for good out of the cluster's roster: a cold start waits for it no more, `why` names it no more, and the leader
// drops its slot. A host that has a member key is not gone; one that comes back enters the roster again.
func (s *Server) v1ForgetMember(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	c, bad := s.readForWrite(r.Context())
	if bad != nil {
		s.problem(w, bad.code, bad.text)
		return
	}
	if _, reports := c.Member(name); reports {
		s.problem(w, http.StatusPreconditionFailed, name+" reports: stop it for good first, and wait for its key to go")
		return
	}
	if u := c.Unfenced; u != nil && u.Node == name {
		s.problem(w, http.StatusPreconditionFailed, name+" led when the cluster was paused, and may take writes without a lease: resume first")
		return
	}
	roster := maps.Clone(c.Roster)
	if _, known := roster[name]; !known {
		s.problem(w, http.StatusNotFound, "the cluster knows no data host "+name)
		return
	}
	delete(roster, name)
	keys := s.opt.Keys
	done, err := s.commit(r.Context(), dcs.Txn{
		If:   []dcs.Compare{dcs.Unchanged(keys.Roster(), c.RosterRev), dcs.Absent(keys.Member(name))},
		Then: []dcs.Op{dcs.Put(keys.Roster(), dcs.Encode(roster), 0)},
	})
	switch {
	case err != nil:
		s.problem(w, http.StatusBadGateway, "the store did not confirm the write; look whether it was made: "+err.Error())
	case !done:
		s.problem(w, http.StatusConflict, "the cluster's hosts have changed meanwhile: look, and try again")
	default:
		s.opt.Backend.Wake()
		s.outcome(w, answer{http.StatusOK, name + " is forgotten"})
	}
}
