package rest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"quorate/api/clusterbody"
	"quorate/raftstore/dcs"
)

const noView = "the store cannot be read, and this node has no view of the cluster yet: "

// nodeView is GET /v1/status.
type nodeView struct {
	Name           string            `json:"name"`
	Scope          string            `json:"scope"`
	Product        string            `json:"product"`
	PatroniVersion string            `json:"patroni_version"`
	State          State             `json:"state"`
	Role           Role              `json:"role"`
	Answering      bool              `json:"answering"`
	ServerVersion  int               `json:"server_version,omitempty"`
	SystemID       string            `json:"system_id,omitempty"`
	Timeline       uint32            `json:"timeline,omitempty"`
	StartedAt      *time.Time        `json:"started_at,omitempty"`
	Location       uint64            `json:"location,omitempty"`
	Received       uint64            `json:"received,omitempty"`
	Replayed       uint64            `json:"replayed,omitempty"`
	Replication    []ReplicationRow  `json:"replication,omitempty"`
	Lease          leaseView         `json:"lease"`
	View           viewAge           `json:"view"`
	Paused         bool              `json:"paused"`
	Failsafe       bool              `json:"failsafe_active"`
	WatchdogFailed bool              `json:"watchdog_failed"`
	Tags           map[string]any    `json:"tags,omitempty"`
	PendingRestart map[string]Change `json:"pending_restart,omitempty"`
	Scheduled      *scheduledRestart `json:"scheduled_restart,omitempty"`
	FailedHooks    []HookFailure     `json:"failed_hooks,omitempty"`
	Failed         *FailedOperation  `json:"failed_operation,omitempty"`
	Operation      *Operation        `json:"operation,omitempty"`
	Reason         string            `json:"reason"`
}

// leaseView is this node's hold on the lead. Instants of one host mean nothing on another: only what is left of it is told.
type leaseView struct {
	Held        bool     `json:"held"`
	LeftSeconds float64  `json:"left_seconds"`
	Term        dcs.Term `json:"term"`
}

// viewAge is how old the node's view of the cluster is. AgeSeconds is missing before the first one.
type viewAge struct {
	Leader     string   `json:"leader"`
	AgeSeconds *float64 `json:"age_seconds,omitempty"`
	Fresh      bool     `json:"fresh"`
}

func (s *Server) v1Status(w http.ResponseWriter, _ *http.Request) {
	s.json(w, http.StatusOK, s.nodeView(s.opt.Backend.Status()))
}

func (s *Server) nodeView(n *NodeStatus) nodeView {
	now, p := s.opt.Now(), n.Postgres
	v := nodeView{
		Name: n.Name, Scope: n.Scope, Product: s.opt.Product, PatroniVersion: n.Version, State: p.shown(), Role: p.Role, Answering: p.Answering,
		ServerVersion: p.ServerVersion, SystemID: p.SystemID, Timeline: p.Timeline, Location: p.Location, Received: p.Received,
		Replayed: p.Replayed, Replication: p.Replication, Paused: n.PauseHolds, Failsafe: n.Failsafe.Active,
		WatchdogFailed: n.WatchdogFailed, Tags: n.Tags, PendingRestart: n.PendingRestart, Scheduled: n.ScheduledRestart.shown(),
		Operation: n.Operation, Reason: n.Reason, FailedHooks: n.FailedHooks, Failed: n.FailedOperation,
		Lease: leaseView{Term: n.Lease.Term},
		View:  viewAge{Leader: n.View.Leader, Fresh: n.View.Fresh(now)},
	}
	if !p.StartedAt.IsZero() {
		v.StartedAt = &p.StartedAt
	}
	if n.Lease.Held {
		left := n.Lease.ValidUntil.Sub(now)
		v.Lease.Held, v.Lease.LeftSeconds = left > 0, max(0, left.Seconds())
	}
	if !n.View.SeenAt.IsZero() {
		age := now.Sub(n.View.SeenAt).Seconds()
		v.View.AgeSeconds = &age
	}
	return v
}

// clusterView is GET /v1/cluster: all that Patroni shows, and what is ours.
type clusterView struct {
	clusterbody.Body
	Revision int64             `json:"revision"`
	SystemID string            `json:"system_id"`
	Leader   string            `json:"leader"`
	Term     dcs.Term          `json:"term"`
	Optime   int64             `json:"optime"`
	Sync     syncView          `json:"sync"`
	Failover *dcs.Failover     `json:"failover,omitempty"`
	Released *dcs.Released     `json:"released,omitempty"`
	Unfenced *dcs.Unfenced     `json:"unfenced,omitempty"`
	Losses   []dcs.Loss        `json:"losses,omitempty"`
	Versions map[string]string `json:"versions"` // by member
	// Missing are the data hosts of the cluster that have no member key, with their API's URL: their agent is down, frozen or cut off.
	Missing  map[string]string `json:"missing,omitempty"`
	Problems []string          `json:"problems,omitempty"`
}

type syncView struct {
	Leader   string   `json:"leader"`
	Quorum   int      `json:"quorum"`
	Standbys []string `json:"standbys"`
}

func (s *Server) v1Cluster(w http.ResponseWriter, r *http.Request) {
	c, stale := s.fresh(r.Context())
	if c == nil {
		s.problem(w, http.StatusServiceUnavailable, noView+stale.Error())
		return
	}
	s.markStale(w, stale)
	s.json(w, http.StatusOK, newClusterView(s.opt.Backend.Status().Scope, c))
}

func newClusterView(scope string, c *dcs.Cluster) clusterView {
	v := clusterView{
		Body: clusterbody.New(scope, c), Revision: c.Revision, SystemID: c.Initialize, Leader: c.LeaderName(),
		Optime: c.Status.Optime, Released: c.Released, Unfenced: c.Unfenced, Losses: c.Losses, Problems: c.Problems,
		Sync: syncView{c.Sync.Leader, c.Sync.Quorum, c.Sync.Standbys}, Versions: map[string]string{},
	}
	if c.Leader != nil {
		v.Term = c.Leader.Term
	}
	if !c.Failover.IsZero() {
		v.Failover = &c.Failover
	}
	for _, m := range c.Members {
		v.Versions[m.Name] = m.Version
	}
	v.Missing = maps.Clone(c.Roster)
	maps.DeleteFunc(v.Missing, func(name, _ string) bool {
		_, there := c.Member(name)
		return there
	})
	return v
}

// historyView is GET /v1/history: the ends of timelines, and what was lost at them.
type historyView struct {
	Timelines []timelineView `json:"timelines"`
	Losses    []dcs.Loss     `json:"losses"`
}

type timelineView struct {
	Timeline  uint32 `json:"timeline"`
	LSN       uint64 `json:"lsn"`
	Reason    string `json:"reason"`
	Timestamp string `json:"timestamp,omitempty"`
	NewLeader string `json:"new_leader,omitempty"`
}

func (s *Server) v1History(w http.ResponseWriter, r *http.Request) {
	c, stale := s.recent(r.Context())
	if c == nil {
		s.problem(w, http.StatusServiceUnavailable, noView+stale.Error())
		return
	}
	v := historyView{Timelines: make([]timelineView, 0, len(c.History)), Losses: c.Losses}
	if v.Losses == nil {
		v.Losses = []dcs.Loss{}
	}
	for _, h := range c.History {
		v.Timelines = append(v.Timelines, timelineView(h))
	}
	s.markStale(w, stale)
	s.json(w, http.StatusOK, v)
}

func (s *Server) v1Why(w http.ResponseWriter, _ *http.Request) {
	list := s.opt.Backend.Decisions()
	if list == nil {
		list = []DecisionRecord{}
	}
	st := s.opt.Backend.Status()
	s.json(w, http.StatusOK, struct {
		Now       string           `json:"now"` // why the last decision was made
		Failed    *FailedOperation `json:"failed_operation,omitempty"`
		Decisions []DecisionRecord `json:"decisions"`
	}{nowText(st, time.Now()), st.FailedOperation, list})
}

// InProgress is how a decision says that all it does is to wait for an operation (ha.Reason.InProgress).
const InProgress = "an operation is in progress"

// nowText is why the last decision was made. One that waits for an operation is told with the operation, how long it has been going on, and how
// far it is.
func nowText(st *NodeStatus, now time.Time) string {
	op := st.Operation
	rest, waits := strings.CutPrefix(st.Reason, InProgress)
	if !waits || op == nil {
		return st.Reason
	}
	const mb = 1 << 20
	text := op.Kind
	if op.Text != "" && op.Text != op.Kind {
		text += ": " + op.Text
	}
	switch {
	case op.Total > 0:
		text += fmt.Sprintf(", %d of %d MB", op.Done/mb, op.Total/mb)
	case op.Done > 0:
		text += fmt.Sprintf(", %d MB", op.Done/mb)
	}
	return fmt.Sprintf("%s, for %s%s", text, max(0, now.Sub(op.Since)).Round(time.Second), rest)
}

func (s *Server) v1Operation(w http.ResponseWriter, _ *http.Request) {
	s.json(w, http.StatusOK, struct {
		Operation *Operation `json:"operation"` // null: none
	}{s.opt.Backend.Status().Operation})
}

// recent is the node's own view while it is younger than the ttl, else a fresh one.
func (s *Server) recent(ctx context.Context) (*dcs.Cluster, error) {
	if c := s.opt.Backend.Cluster(); c != nil && s.opt.Backend.Status().View.Fresh(s.opt.Now()) {
		return c, nil
	}
	return s.fresh(ctx)
}

// fresh reads the store. When that fails it gives the newest view that the node has, which may be nil, and the error.
func (s *Server) fresh(ctx context.Context) (*dcs.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.ReadTimeout)
	defer cancel()
	c, err := s.opt.Backend.ReadCluster(ctx)
	if err != nil {
		s.opt.Logger.Debug("cluster told from the cached view", "error", err)
		return s.opt.Backend.Cluster(), err
	}
	return c, nil
}

// markStale says in the headers how old a view is that is told because the store cannot be read.
func (s *Server) markStale(w http.ResponseWriter, stale error) {
	if stale == nil {
		return
	}
	status := s.opt.Backend.Status()
	if seen := status.View.SeenAt; !seen.IsZero() {
		w.Header().Set("Age", ageSeconds(s.opt.Now(), seen))
	}
	w.Header().Set("X-Quorate-Stale", "the store cannot be read; this is the newest view of node "+headerText(status.Name))
}
