package rest

import (
	"time"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

// NodeStatus is what a node knows of itself at one moment. The node publishes a new one after each decision; nobody changes one
// that was published, so readers need no lock and may keep renderings of it.
type NodeStatus struct {
	Name    string
	Scope   string
	Version string         // of Patroni's interfaces, "4.1.4"
	Tags    map[string]any // effective: nosync is added while a restart is being prepared

	Postgres Postgres
	Lease    Lease
	View     ClusterView
	Sync     SyncRole
	Failsafe Failsafe
	Loop     Loop

	PauseHolds       bool              // a pause is in effect here: of a primary, its fence has no deadline any more
	PendingRestart   map[string]Change // parameters that wait for a restart, by name
	ScheduledRestart *RestartRequest   // nil: none
	WatchdogFailed   bool              // a watchdog is configured and cannot be used
	LogQueue         int               // log records that wait to be written, when there are more than usual
	LogLost          int               // log records that were dropped because the queue was full

	FailedHooks []HookFailure // commands of the user's whose last run failed
	// FailedOperation is the last operation on PostgreSQL; nil unless it failed.
	FailedOperation *FailedOperation

	Operation *Operation // the long operation in flight; nil: none
	Reason    string     // why the last decision was made
}

// Postgres is the local PostgreSQL as it was last observed.
type Postgres struct {
	State State
	Role  Role
	// Answering says that the newest sample is valid. Without it only State and Role are shown, and a state of running is shown
	// as unknown: the processes are there, and whether they serve nobody knows.
	Answering        bool
	Running          bool // there is a postmaster
	StartedAt        time.Time
	ServerVersion    int    // 150006 is 15.6
	SystemID         string // from the control file, also of a stopped server
	Timeline         uint32 // 0: unknown
	Location         uint64 // primary: flushed WAL, in bytes since 0/0
	Received         uint64 // standby: written WAL (PostgreSQL 13 and newer), else flushed, else replayed
	Replayed         uint64
	LatestEnd        uint64    // standby: the newest position that the upstream told of; 0: it told none
	ReplayedAt       time.Time // commit time of the last transaction replayed; zero: none yet
	ReplayPaused     bool
	ReplicationState string // standby: "streaming" or "in archive recovery"; "": neither
	Replication      []ReplicationRow
}

// ReplicationRow is one line of pg_stat_replication.
type ReplicationRow struct {
	User            string  `json:"usename"`
	ApplicationName string  `json:"application_name"`
	ClientAddr      *string `json:"client_addr"` // nil: a Unix socket
	State           string  `json:"state"`
	SyncState       string  `json:"sync_state"`
	SyncPriority    int     `json:"sync_priority"`
}

// Lease is this node's hold on the leader key.
type Lease struct {
	Held       bool
	ValidUntil boottime.Instant // the lease's end, counted from before its last renewal was sent
	Term       dcs.Term
}

// ClusterView is what the node's newest view of the cluster says, and how old that view is.
type ClusterView struct {
	SeenAt         boottime.Instant // when a read of the store last confirmed the view; zero: never
	LastSeen       time.Time        // the same by the wall clock, for people
	Leader         string           // the leader key's content; "": the cluster is unlocked
	Optime         uint64           // the position that the leader last wrote to the store
	Paused         bool             // asked for by the last configuration known, however old
	StandbyCluster bool             // ditto
	MaxLag         int64            // maximum_lag_on_failover, in bytes
	TTL            time.Duration
	LoopWait       time.Duration
}

// Fresh says whether the view is younger than the ttl. An older one may not be used to judge who is synchronous.
func (v ClusterView) Fresh(now boottime.Instant) bool {
	return !v.SeenAt.IsZero() && now.Sub(v.SeenAt) < v.TTL
}

// SyncRole is what the key /sync says of this node.
type SyncRole int

// The roles of synchronous replication. A leader has SyncNone.
const (
	SyncNone   SyncRole = iota
	SyncOn              // a listed standby, mode on
	SyncQuorum          // a listed standby, mode quorum
)

// Failsafe is the state of failsafe_mode on this node.
type Failsafe struct {
	Enabled bool
	Active  bool              // the store is away, and the members keep the primary up
	Members map[string]string // API URLs by name; nil: there is no such key
}

// Loop says whether the node still decides.
type Loop struct {
	Last boottime.Instant // when the last decision was made
	Next boottime.Instant // when the next one is due at the latest
}

// Change is a parameter's value in use and the one that waits for a restart.
type Change struct {
	Old string `json:"old_value"`
	New string `json:"new_value"`
}

// HookFailure is the last run of a callback, pre_promote, before_stop or post_bootstrap that ended with an error, or not in time.
type HookFailure struct {
	Hook  string    `json:"hook"`
	Error string    `json:"error"`
	At    time.Time `json:"at"`
}

// FailedOperation is an operation on PostgreSQL that came to nothing. It is tried again as long as it is what the decision calls for.
type FailedOperation struct {
	Kind  string    `json:"kind"` // for example "clone from pg3"
	Error string    `json:"error"`
	Count int       `json:"count"` // failures in a row
	At    time.Time `json:"at"`    // when the last one ended
}

// Operation is a long operation in flight.
type Operation struct {
	Kind  string    `json:"kind"` // for example "clone", "rewind", "restart"
	Since time.Time `json:"since"`
	Done  int64     `json:"done_bytes,omitempty"`
	Total int64     `json:"total_bytes,omitempty"` // 0: unknown
	Text  string    `json:"text,omitempty"`
}
