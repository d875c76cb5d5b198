package rest

import (
	"context"
	"encoding/json"
	"time"

	"quorate/raftstore/dcs"
)

// Backend is the node behind the API. Errors that a client can act on are the sentinels of errors.go; every other error is an
// internal failure and is told as such.
type Backend interface {
	Reader
	Store
	Actions
	Peers
}

// Reader gives what the node has published. Its methods never block and never fail.
type Reader interface {
	// Status is the newest published status. Never nil.
	Status() *NodeStatus
	// Cluster is the newest view of the cluster that the node has, however old; [NodeStatus.View] tells its age. Nil before the
	// first read of the store.
	Cluster() *dcs.Cluster
	// ClusterChanged is closed when Cluster next gives another view. Call it before Cluster: then no change is missed.
	ClusterChanged() <-chan struct{}
	// Decisions are the last decisions that changed something, the newest last.
	Decisions() []DecisionRecord
	// Events gives the node's events from now on. It is closed when ctx ends, or when the reader was too slow to keep up.
	Events(ctx context.Context) <-chan Event
}

// Store reads and writes the cluster's keys.
type Store interface {
	// ReadCluster reads the cluster, linearizably.
	ReadCluster(ctx context.Context) (*dcs.Cluster, error)
	// Commit applies a transaction; it reports false when a compare did not hold. An error leaves the outcome unknown.
	Commit(ctx context.Context, txn dcs.Txn) (succeeded bool, err error)
}

// Actions are what an operator can ask of this node.
type Actions interface {
	// Wake makes the node look and decide again at once.
	Wake()
	// Restart restarts PostgreSQL and returns when it is up again, or an error: [ErrStillStarting], [ErrRestartFailed],
	// [BusyError]. The request's conditions have been checked.
	Restart(ctx context.Context, r RestartRequest) error
	// ScheduleRestart remembers a restart for r.Schedule; [ErrRestartScheduled] when there already is one. Its conditions
	// are to be checked when it is due: [RestartRequest.Matches].
	ScheduleRestart(ctx context.Context, r RestartRequest) error
	// CancelRestart forgets the scheduled restart; [ErrNoRestart] when there is none.
	CancelRestart(ctx context.Context) error
	// Reinitialize begins to make this standby anew and returns at once; [ErrNoLeader], [ErrIsLeader], [BusyError].
	Reinitialize(ctx context.Context, r ReinitRequest) error
	// Reload makes the node read its own configuration again, soon.
	Reload(ctx context.Context) error
}

// Peers is what the other nodes of the cluster ask, and what is asked of them.
type Peers interface {
	// Failsafe takes the primary's message that it goes on without the store and returns this node's WAL position in bytes;
	// [ErrFailsafeOff], [ErrRunningAsLeader].
	Failsafe(ctx context.Context, r FailsafeRequest) (lsn uint64, err error)
	// Pledge makes this node promise, on disk, to take nothing more from primaries of terms up to r.Term; it stops receiving
	// WAL and tells its position. A refusal is an error: [ErrPledgeRefused].
	Pledge(ctx context.Context, r PledgeRequest) (PledgeAnswer, error)
	// Probe asks the members, all at once and bounded in time, whether they could be promoted. One answer per member.
	Probe(ctx context.Context, members []dcs.Member) []Candidate
}

// RestartRequest asks for a restart of PostgreSQL, now or later, on conditions. The JSON is Patroni's.
type RestartRequest struct {
	Schedule        time.Time // zero: now
	Role            Role      // only a node of this role; "": any
	PostgresVersion string    // only a server older than this, "15.6" or "9.6.24"; "": any
	Pending         bool      // only a server that waits for a restart
	Timeout         time.Duration
}

// ReinitRequest asks for a standby to be cloned anew.
type ReinitRequest struct {
	Force      bool // cancel the operation in flight first
	FromLeader bool // clone from the leader, not from a standby
}

// FailsafeRequest is what a primary without the store tells the members.
type FailsafeRequest struct {
	Name    string           `json:"name"`
	ConnURL string           `json:"conn_url"`
	APIURL  string           `json:"api_url"`
	Slots   map[string]int64 `json:"slots,omitempty"`  // positions of the slots, in bytes
	Term    dcs.Term         `json:"term,omitzero"`    // ours; Patroni's agents send none
	TTL     int64            `json:"ttl_ms,omitempty"` // ours: for how long, in milliseconds, no lead is to be taken; Patroni: the shared ttl
}

// PledgeRequest asks a node to give the terms up to Term up, in a race for the lead.
type PledgeRequest struct {
	Term dcs.Term `json:"term"`
	From string   `json:"from"` // who asks
}

// PledgeAnswer is a node's position after its promise: nothing more will be added to it from the terms that were given up.
type PledgeAnswer struct {
	Name             string            `json:"name"`
	SystemID         string            `json:"system_id"`
	Running          bool              `json:"running"`
	Primary          bool              `json:"primary"`
	Timeline         uint32            `json:"timeline"`
	FlushLSN         uint64            `json:"flush_lsn"`
	ReplayLSN        uint64            `json:"replay_lsn"`
	Pledged          dcs.Term          `json:"pledged"`
	NoFailover       bool              `json:"nofailover"`
	FailoverPriority int               `json:"failover_priority"`
	WatchdogFailed   bool              `json:"watchdog_failed"`
	Sync             bool              `json:"sync"`
	History          []dcs.HistoryLine `json:"history"`
}

// Candidate is a member's answer to the question whether it could be promoted.
type Candidate struct {
	Name           string `json:"name"`
	Reachable      bool   `json:"reachable"`
	NoFailover     bool   `json:"nofailover"`
	WatchdogFailed bool   `json:"watchdog_failed"`
}

// Limitation says what keeps the candidate from being promoted; "" when nothing does.
func (c Candidate) Limitation() string {
	switch {
	case !c.Reachable:
		return "not reachable"
	case c.NoFailover:
		return "not allowed to promote"
	case c.WatchdogFailed:
		return "not watchdog capable"
	}
	return ""
}

// DecisionRecord is a decision that changed something, for `quorate why`.
type DecisionRecord struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`            // a code, stable between versions
	Text    string    `json:"text"`              // the sentence for people
	GaveUp  string    `json:"gave_up,omitempty"` // why a switchover or failover that was asked for has been given up
	Actions []string  `json:"actions,omitempty"` // what was done, in order
}

// Event is one event of GET /v1/events.
type Event struct {
	Kind string          // for example "decision", "cluster", "operation"; no line breaks
	Data json.RawMessage // one JSON value
}

// Router is the router of a host with that role. Its views are shown as they are.
type Router interface {
	Status() any
	Sessions() any
	// Kill ends a session; [ErrNoSession] when there is none of that id.
	Kill(id string) error
}

// StoreMembers are the members of the store.
type StoreMembers interface {
	List(ctx context.Context) ([]StoreMember, error)
	// Add makes room for a member that will come up at the peer address, as a learner.
	Add(ctx context.Context, name, peerURL string) (StoreMember, error)
	// Promote makes a learner that has caught up a voter.
	Promote(ctx context.Context, id string) error
	// Remove takes a member out for good.
	Remove(ctx context.Context, id string) error
}

// StoreMember is one member of the store.
type StoreMember struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	PeerURL   string `json:"peer_url"`
	ClientURL string `json:"client_url,omitempty"`
	Learner   bool   `json:"learner"`
	Leader    bool   `json:"leader"`
	Healthy   bool   `json:"healthy"`
	Applied   uint64 `json:"applied,omitempty"` // index of the last log entry applied
}
