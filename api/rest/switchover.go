package rest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"quorate/api/clusterbody"
	"quorate/internal/config/dynamic"
	"quorate/raftstore/dcs"
)

// handover is a switchover or failover that was asked for.
type handover struct {
	action    string // "switchover" or "failover"
	leader    string
	candidate string
	at        time.Time // zero: now
}

func (s *Server) postSwitchover(w http.ResponseWriter, r *http.Request) {
	s.postHandover(w, r, "switchover")
}
func (s *Server) postFailover(w http.ResponseWriter, r *http.Request) {
	s.postHandover(w, r, "failover")
}

func (s *Server) postHandover(w http.ResponseWriter, r *http.Request, action string) {
	body, ok := s.object(w, r, maxActionBody, false)
	if !ok {
		return
	}
	a := s.handover(w, r, action, body)
	s.text(w, a.code, a.text)
}

// handover checks, asks for it by the key failover, and waits until the cluster has another leader.
func (s *Server) handover(w http.ResponseWriter, r *http.Request, action string, body map[string]any) answer {
	ctx, cancel := s.long(w, r)
	defer cancel()
	c, unread := s.readForWrite(ctx)
	if unread != nil {
		return *unread
	}
	cfg := clusterbody.Shared(c)
	h, bad := parseHandover(action, body, cfg, time.Now())
	if bad != nil {
		return *bad
	}
	if h.at.IsZero() {
		if why := s.impossible(ctx, c, cfg, h); why != "" {
			return answer{http.StatusPreconditionFailed, why}
		}
	}
	done, err := s.commit(ctx, h.txn(s.opt.Keys, c))
	if err != nil || !done {
		return answer{http.StatusServiceUnavailable, "failed to write failover key into DCS"}
	}
	s.opt.Backend.Wake()
	if !h.at.IsZero() {
		return answer{http.StatusAccepted, title(h.action) + " scheduled"}
	}
	return s.await(ctx, h, c.LeaderName())
}

// parseHandover reads and judges a request by what needs no other node. The order of the rules is Patroni's.
func parseHandover(action string, body map[string]any, cfg dynamic.Config, now time.Time) (handover, *answer) {
	h := handover{action: action}
	bad := func(text string) (handover, *answer) { return h, &answer{http.StatusBadRequest, text} }
	at, wrong := h.read(body)
	switch {
	case wrong != "":
		return bad(wrong + " must be text")
	case action == "failover" && h.candidate == "":
		return bad("Failover could be performed only to a specific candidate")
	case action == "switchover" && h.leader == "":
		return bad("Switchover could be performed only from a specific leader")
	case at != nil && action == "failover":
		return bad("Failover can't be scheduled")
	case at != nil && cfg.Pause:
		return bad("Can't schedule switchover in the paused state")
	}
	if at != nil {
		var code int
		var why string
		if h.at, code, why = parseSchedule(at, action, now); code != 0 {
			return h, &answer{code, why}
		}
	}
	if h.leader != "" { // a failover from a named leader is a switchover
		h.action = "switchover"
	}
	switch {
	case cfg.Pause && h.candidate == "":
		return bad("Switchover is possible only to a specific candidate in a paused state")
	case h.leader == h.candidate:
		return bad("Switchover target and source are the same")
	}
	return h, nil
}

// read takes the fields over; wrong names one that is no text. at is the moment as it was written; nil: now.
func (h *handover) read(body map[string]any) (at any, wrong string) {
	for _, f := range []struct {
		key  string
		into *string
	}{{"leader", &h.leader}, {"member", &h.candidate}, {"candidate", &h.candidate}} {
		text, ok := textOf(body, f.key)
		if !ok {
			return nil, f.key
		}
		if text != "" { // candidate wins over member, its older name
			*f.into = text
		}
	}
	if at = body["scheduled_at"]; at == "" {
		at = nil
	}
	return at, ""
}

// impossible says why nobody could take over now; "" when somebody can.
func (s *Server) impossible(ctx context.Context, c *dcs.Cluster, cfg dynamic.Config, h handover) string {
	members, why := h.candidates(c, cfg)
	if why != "" {
		return why
	}
	for _, answer := range s.opt.Backend.Probe(ctx, members) {
		if answer.Limitation() == "" {
			return ""
		}
	}
	return h.action + " is not possible: no good candidates have been found"
}

// candidates are the members that might take over.
func (h handover) candidates(c *dcs.Cluster, cfg dynamic.Config) (members []dcs.Member, why string) {
	if h.leader != "" && c.LeaderName() != h.leader {
		return nil, "leader name does not match"
	}
	listed := cfg.SynchronousMode == dynamic.SyncOn && cfg.StandbyCluster == nil
	if h.candidate != "" {
		if h.action == "switchover" && listed && !clusterbody.ListedSync(c.Sync, h.candidate) {
			return nil, "candidate name does not match with sync_standby"
		}
		m, ok := c.Member(h.candidate)
		if !ok {
			return nil, "candidate does not exists"
		}
		return []dcs.Member{m}, ""
	}
	for _, m := range c.Members {
		if listed && clusterbody.ListedSync(c.Sync, m.Name) || !listed && m.Name != c.LeaderName() && m.APIURL != "" {
			members = append(members, m)
		}
	}
	switch {
	case len(members) > 0:
		return members, ""
	case listed:
		return nil, h.action + " is not possible: can not find sync_standby"
	}
	return nil, h.action + " is not possible: cluster does not have members except leader"
}

// txn asks for the handover. It fails if somebody else asked for one since c was read, or if the named leader's term has ended.
func (h handover) txn(k dcs.Keys, c *dcs.Cluster) dcs.Txn {
	f := dcs.Failover{Leader: h.leader, Candidate: h.candidate}
	if !h.at.IsZero() {
		f.ScheduledAt = isoTime(h.at)
	}
	conditions := []dcs.Compare{dcs.Unchanged(k.Failover(), c.Failover.Mod)}
	if h.leader != "" && c.Leader != nil && h.at.IsZero() {
		conditions = append(conditions, dcs.CreatedAt(k.Leader(), c.Leader.Term.Rev))
	}
	return dcs.Txn{If: conditions, Then: []dcs.Op{dcs.Put(k.Failover(), dcs.Encode(f), 0)}}
}

// await waits until another node than the old leader leads, or the request has been given up, or it takes too long.
func (s *Server) await(ctx context.Context, h handover, oldLeader string) answer {
	limit := 2 * max(10*time.Second, s.opt.Backend.Status().View.LoopWait)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	since := int64(0) // views older than this may not show the request yet
	for {
		changed := s.opt.Backend.ClusterChanged()
		if c := s.viewSince(ctx, since); c != nil {
			since = c.Revision
			if a := h.outcome(c, oldLeader); a != nil {
				return *a
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return answer{http.StatusServiceUnavailable, fmt.Sprintf(
				"%s status unknown after %d seconds; operation may still be in progress", title(h.action), int(limit/time.Second))}
		}
	}
}

// viewSince is the node's view if it is as new as revision since, else a fresh one; nil when the store cannot be read.
func (s *Server) viewSince(ctx context.Context, since int64) *dcs.Cluster {
	if c := s.opt.Backend.Cluster(); c != nil && since > 0 && c.Revision >= since {
		return c
	}
	c, _ := s.readForWrite(ctx)
	return c
}

// outcome is the answer that a view allows; nil while there is none.
func (h handover) outcome(c *dcs.Cluster, oldLeader string) *answer {
	verb := h.action[:len(h.action)-len("over")]
	leader := c.LeaderName()
	switch {
	case leader != "" && leader != oldLeader && (h.candidate == "" || h.candidate == leader):
		return &answer{http.StatusOK, fmt.Sprintf(`Successfully %sed over to "%s"`, verb, leader)}
	case leader != "" && leader != oldLeader:
		return &answer{http.StatusOK, fmt.Sprintf(`%sed over to "%s" instead of "%s"`, title(verb), leader, h.candidate)}
	case c.Failover.IsZero():
		return &answer{http.StatusServiceUnavailable, title(h.action) + " failed"}
	}
	return nil
}

// deleteSwitchover takes a scheduled switchover back.
func (s *Server) deleteSwitchover(w http.ResponseWriter, r *http.Request) {
	a := s.cancelSwitchover(r)
	if a.code == http.StatusConflict {
		s.page(w, a.code, a.text)
		return
	}
	s.text(w, a.code, a.text)
}

func (s *Server) cancelSwitchover(r *http.Request) answer {
	c, unread := s.readForWrite(r.Context())
	if unread != nil {
		return *unread
	}
	if c.Failover.ScheduledAt == "" {
		return answer{http.StatusNotFound, "no switchover is scheduled"}
	}
	done, err := s.commit(r.Context(), dcs.Txn{
		If:   []dcs.Compare{dcs.Unchanged(s.opt.Keys.Failover(), c.Failover.Mod)},
		Then: []dcs.Op{dcs.Put(s.opt.Keys.Failover(), "{}", 0)},
	})
	if err != nil || !done {
		return answer{http.StatusConflict, "The scheduled switchover was changed meanwhile, or the store did not confirm."}
	}
	s.opt.Backend.Wake()
	return answer{http.StatusOK, "scheduled switchover deleted"}
}

// title makes the first letter large.
func title(word string) string { return string(word[0]-'a'+'A') + word[1:] }
