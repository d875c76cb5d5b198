package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"quorate/internal/boottime"
)

// SessionInfo is one session as people and programs see it.
type SessionInfo struct {
	ID        uint64    `json:"id"`
	Listener  string    `json:"listener"`
	Client    string    `json:"client"`
	Backend   string    `json:"backend"`
	Address   string    `json:"address"`
	Term      string    `json:"term,omitempty"`
	User      string    `json:"user,omitempty"`
	Database  string    `json:"database,omitempty"`
	App       string    `json:"application_name,omitempty"`
	Encrypted bool      `json:"encrypted"`
	Since     time.Time `json:"since"`
	Seconds   float64   `json:"seconds"`
	BytesIn   int64     `json:"bytes_in"`  // from the client
	BytesOut  int64     `json:"bytes_out"` // to the client
}

// Status is the router as a whole.
type Status struct {
	Scope        string           `json:"scope"`
	Term         string           `json:"term"`
	ValidSeconds float64          `json:"valid_seconds"` // negative once the table has expired
	AgeSeconds   float64          `json:"age_seconds"`
	Listeners    []ListenerStatus `json:"listeners"`
	Backends     []BackendStatus  `json:"backends"`
	Capacity     int              `json:"max_sessions"` // sessions that the configuration and the process's file descriptors allow
}

// ListenerStatus is one listener of a Status.
type ListenerStatus struct {
	Name     string  `json:"name"`
	Address  string  `json:"address"`
	Target   Target  `json:"target"`
	Balance  Balance `json:"balance"`
	Sessions int     `json:"sessions"`
	Held     int     `json:"held"`
}

// BackendStatus is one backend of a Status.
type BackendStatus struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Role     Role     `json:"role"`
	Sync     bool     `json:"sync"`
	Running  bool     `json:"running"`
	Suspect  bool     `json:"suspect"`     // failed a moment ago
	Lag      int64    `json:"lag"`         // bytes; -1 when unknown
	LagTime  float64  `json:"lag_seconds"` // -1 when unknown
	Zone     string   `json:"zone,omitempty"`
	Sessions int      `json:"sessions"`
	LaggedBy []string `json:"kept_out_of,omitempty"` // listeners whose lag limit it exceeds
}

// Sessions lists the present sessions, the oldest first.
func (r *Router) Sessions() []SessionInfo {
	r.mu.Lock()
	all := make([]SessionInfo, 0, len(r.sessions))
	for _, s := range r.sessions {
		i := s.info()
		if !s.term.IsZero() {
			i.Term = s.term.String()
		}
		all = append(all, i)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b SessionInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (s *session) info() SessionInfo {
	up, down := s.flow.Counts()
	i := SessionInfo{
		ID: s.id, Listener: s.l.opts().Name, Client: s.peer(), Backend: s.backend.Name, Address: s.backend.Addr,
		Since: s.since, Seconds: time.Since(s.since).Seconds(), BytesIn: up, BytesOut: down,
		Encrypted: s.encrypted.Load(),
	}
	if who := s.who.Load(); who != nil {
		i.User, i.Database, i.App = who.user, who.database, who.app
	}
	return i
}

// Kill ends one session, as an administrator's word: its client is told so where the protocol allows it.
func (r *Router) Kill(id uint64) error {
	r.mu.Lock()
	s := r.sessions[id]
	r.mu.Unlock()
	if s == nil {
		return fmt.Errorf("session %d: %w", id, ErrNoSession)
	}
	s.end(reasonKilled)
	return nil
}

// Waiting counts the clients that wait for a backend.
func (r *Router) Waiting() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		n += len(l.queue.waiting)
	}
	return n
}

// Status is the router's present view.
func (r *Router) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Status{Term: Term{}.String(), Capacity: int(r.capacity.Load())}
	for _, l := range r.listeners {
		if !l.over() {
			out.Listeners = append(out.Listeners, l.status())
		}
	}
	t := r.table
	if t == nil {
		return out
	}
	now := boottime.Now()
	out.Scope, out.Term = t.Scope, t.Term.String()
	out.ValidSeconds, out.AgeSeconds = t.ValidUntil.Sub(now).Seconds(), now.Sub(r.tableAt).Seconds()
	for _, b := range t.Backends {
		out.Backends = append(out.Backends, r.backendStatus(b))
	}
	return out
}

func (l *listener) status() ListenerStatus {
	s := ListenerStatus{
		Name: l.opts().Name, Target: l.opts().Rule.Target, Balance: cmp.Or(l.opts().Rule.Balance, BalanceLeast),
		Sessions: l.total.now, Held: len(l.queue.waiting),
	}
	if l.ln != nil {
		s.Address = l.ln.Addr().String()
	}
	return s
}

func (r *Router) backendStatus(b Backend) BackendStatus {
	s := BackendStatus{
		Name: b.Name, Address: b.Addr, Role: b.Role, Sync: b.Sync, Running: b.Running,
		Suspect: boottime.Now().Before(r.suspects[b.Name]), Lag: b.LagBytes, LagTime: max(-1, b.LagTime.Seconds()), Zone: b.Zone, Sessions: r.load(b.Name),
	}
	for _, l := range r.listeners {
		if l.lagging[b.Name] {
			s.LaggedBy = append(s.LaggedBy, l.opts().Name)
		}
	}
	return s
}
