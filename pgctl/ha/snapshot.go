package ha

import (
	"encoding/json"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// Snapshot is all that a decision may depend on.
type Snapshot struct {
	Now  boottime.Instant
	Wall time.Time // for schedules and for the history's timestamps only

	Self  Self
	Set   dynamic.Config
	Keys  dcs.Keys
	Store Store
	Lease Lease
	PG    PG
	Fence Fence
	Race  Race
	// Failsafe and Promise are the two sides of failsafe mode: what was allowed, and what was promised.
	Failsafe Failsafe
	Promise  Promise
	// SafeSlots came with the question that the newest promise answers.
	SafeSlots SafeSlots
	Busy      map[Lane]bool
	Asked     Asked
	Mem       Memory
}

// Self is what this node is, from its own configuration.
type Self struct {
	Name             string
	ConnURL          string
	APIURL           string
	ProxyURL         string // of a connection pool beside PostgreSQL; empty: none
	Version          string
	Tags             map[string]any // effective, as members/<name> shows them
	NoFailover       bool
	FailoverPriority int
	CloneFrom        bool
	ReplicateFrom    string
	NoStream         bool
	BootstrapConfig  json.RawMessage // bootstrap.dcs: becomes the config key
	ScheduledRestart json.RawMessage // a restart that an operator has scheduled, as the member key shows it
	CanBootstrap     bool            // there is something to bootstrap with
	WatchdogRequired bool
	WatchdogFailed   bool // there is no device that this host could use
}

// Store is what is known of the cluster's state in the store.
type Store struct {
	Cluster *dcs.Cluster     // nil: never read
	SeenAt  boottime.Instant // before the last confirmed read was sent
	Down    bool             // the last attempt failed
	// OwnRev is the newest revision that this node itself has written: an older view may lack what it did.
	OwnRev int64
	// Expected are the data hosts that must show what they hold before a cluster without initialize key gets its first leader.
	Expected []string
	// ExpectMore says that the hosts known so far are fewer than the configuration expects.
	ExpectMore bool
}

// Lease is this node's lease in the store, which its member key and its leader key are bound to.
type Lease struct {
	ID       int64            // 0: none
	TTL      time.Duration    // as granted
	Sent     boottime.Instant // before the last successful renewal, or the grant, was sent
	Tried    boottime.Instant // when the last attempt was sent
	Deadline boottime.Instant // Sent + TTL
}

// Folder is the state of the data folder.
type Folder int

// The states of a data folder.
const (
	FolderUnknown Folder = iota // not looked at yet
	FolderEmpty                 // missing or empty: it may be filled
	FolderData                  // a usable data folder
	FolderBad                   // neither: it must not be touched; PG.Problem says why
	FolderBroken                // data that an operation left unusable: only a new copy helps
)

// Phase is the state of the postmaster.
type Phase int

// The phases of a postmaster.
const (
	Stopped  Phase = iota
	Starting       // it runs and accepts no connections yet
	Running        // it has answered
)

// PG is the local PostgreSQL.
type PG struct {
	Folder  Folder
	Problem string
	Copying bool // another server's data is on its way here, in place of what Folder still says

	Phase       Phase
	PhaseSince  boottime.Instant
	InRecovery  bool
	SampleAt    boottime.Instant // when the newest good sample was asked for
	AcceptsAt   boottime.Instant // when it last took a new connection; zero: not asked since it runs
	WritesAt    boottime.Instant // when the disk under the data folder last took a write; zero: not known
	Disk        string           // dcs.DiskFull or dcs.DiskLow: the room left for data and WAL; "": enough, or not known
	SystemID    string
	Timeline    postgres.Timeline
	FlushLSN    postgres.LSN // a primary's own, a standby's received
	ReplayLSN   postgres.LSN
	Streaming   bool
	ReplState   string                   // streaming, in archive recovery
	Names       postgres.SyncNames       // synchronous_standby_names in effect
	NamesAsked  postgres.SyncNames       // and as the configuration last written says
	NamesSince  postgres.LSN             // the own flush position, read after Names had come into effect everywhere; 0: not known
	NamesSeen   boottime.Instant         // when Names were first seen in effect
	Standbys    []syncset.Standby        // attached; Alive and SyncPriority are filled in by Decide
	Slots       []string                 // physical slots by name
	SlotRows    map[string]postgres.Slot // all of them
	SlotsFailed boottime.Instant         // when a change of them last failed
	SlotsCopied boottime.Instant         // when logical ones were last copied from the leader, or that was tried
	SlotSync    bool                     // PostgreSQL itself copies the leader's failover slots (version 17)
	Switches    []postgres.Switch        // the timelines before this one

	Following  Upstream
	Pledged    dcs.Term
	Clean      bool         // stopped: it was shut down in order
	WasPrimary bool         // stopped: it was a primary when it ended
	EndLSN     postgres.LSN // stopped clean: the end of its WAL, the shutdown checkpoint included
	Replay     int64        // stopped: bytes of log that a recovery would replay; 0: not known
	Tail       Tail
	Crashes    int // ends that nobody asked for since it last ran for a minute
	ExitText   string
	Checked    Check

	PendingRestart       bool
	PendingRestartReason json.RawMessage
	Checkpointing        bool // there has been no checkpoint, or restart point, on its timeline yet: pg_rewind cannot use it as a source
	Failed               OpFailure
	Hook                 Hook // the newest outcome of pre_promote
}

// Tail is what ReadTail found. It counts only for the stop that it was read after.
type Tail struct {
	At       boottime.Instant // when it was read; zero: never
	Timeline postgres.Timeline
	Durable  postgres.LSN // where the last commit ends: who has received up to here lacks nothing that was acknowledged
}

// Upstream is whom a standby is told to stream from.
type Upstream struct {
	Name string // member's name; "": nobody
	Conn string // its conn_url
	Term dcs.Term
	// Remote is the server outside of the cluster that a standby leader follows. Name is then only a word for people.
	Remote Remote
}

// Check is the last comparison of the local WAL with a leader's history.
type Check struct {
	Term     dcs.Term // of the leader it was compared with
	Done     bool
	Diverged bool
	Fork     postgres.LSN
	End      postgres.LSN
	Error    string
	At       boottime.Instant
}

// OpFailure is the end of the last operation that failed.
type OpFailure struct {
	Action string
	Text   string
	Count  int
	At     boottime.Instant
}

// Fence is what the fence process says.
type Fence struct {
	Connected bool
	Term      dcs.Term
	Deadline  boottime.Instant // zero: not armed
	Fired     dcs.Term
	Unfenced  bool
	PM        int
}

// Race is what the other members answered when they were asked for their pledges.
type Race struct {
	Target  dcs.Term // "nothing from terms up to this"
	AskedAt boottime.Instant
	Done    bool // every member that was asked has answered or has run out of time
	Answers map[string]candidate.Member
}

// Failsafe is what the members answered to a primary that has lost the store.
type Failsafe struct {
	Term dcs.Term
	Sent boottime.Instant        // before the first of them was asked
	TTL  time.Duration           // for how long each has promised to take no lead
	All  bool                    // every one has
	Why  string                  // who has not, and why
	LSNs map[string]postgres.LSN // how far those that answered have the log
}

// Promise is what this node has promised to a primary that has lost the store: to take no lead until then.
type Promise struct {
	To    string
	Term  dcs.Term // of the lead that it keeps
	Conn  string   // its conn_url
	Until boottime.Instant
}

// SafeSlots are the positions of the slots of a primary that has lost the store.
type SafeSlots struct {
	At        boottime.Instant // when they were told
	Positions map[string]int64
}

// Asked is what operators and the process's life ask for.
type Asked struct {
	Stop    bool // the agent is to end (SIGTERM): hand over, stop PostgreSQL, release
	Restart *RestartRequest
	Reinit  *ReinitRequest
}

// RestartRequest asks for a restart of the local PostgreSQL. A primary that takes longer than Timeout to start after it is given up for
// another member, as with primary_start_timeout; zero: that holds.
type RestartRequest struct {
	ID      uint64
	Timeout time.Duration
}

// ReinitRequest asks for a new copy of the data folder.
type ReinitRequest struct {
	ID         uint64
	FromLeader bool
}

// Memory is what has to be remembered from one decision to the next. It is lost with the process, and every rule holds without it.
type Memory struct {
	Leader   string   // the last leader that this process saw
	Term     dcs.Term // and its term
	Lease    int64    // and the lease that its key was bound to
	GoneAt   boottime.Instant
	GoneRev  int64    // the revision in which the key was found missing
	Acquired dcs.Term // the term that this process took: it may promote for it
	Promoted dcs.Term // the term for which promotion was ordered
	// PromotedAt is when it was ordered; the standbys have to turn to this node then.
	PromotedAt boottime.Instant
	// StandbyTerm is the newest term in which this node led a standby cluster, SyncTerm the one that it wrote the sync key for before it opened.
	StandbyTerm, SyncTerm dcs.Term
	PointAt               boottime.Instant // when a standby leader was last asked for a restart point
	LeavingSync           boottime.Instant // since when this synchronous standby has been about to stop
	SlowTerm              dcs.Term         // the term in which a standby leader did not start in time

	GivenUp dcs.Term // the term whose release was ordered: nothing opens for it again, whatever became of the order
	// TakeoverNames go with the sync key that the transaction of Acquired wrote: they are in effect before it opens.
	TakeoverNames postgres.SyncNames
	Handover      Handover
	RaceSince     boottime.Instant
	MemberAt      boottime.Instant // when the member key was last written
	StatusAt      boottime.Instant
	SeenMember    bool // our own member key has been seen
	// StartCopy says that a copy was asked for in a pause: it is started once it is there.
	StartCopy bool
	// StartLimit takes the place of primary_start_timeout for the start of the restart that was asked for with it; zero: none was.
	StartLimit time.Duration
	// SyncInDoubt says that a write of the sync key was sent whose outcome is not known: it may still arrive.
	SyncInDoubt bool
	// FailsafeTried is the last failsafe list that this node has sent to the store, until it is in view.
	FailsafeTried map[string]string
	// SlotGone are the hosts of the roster without a member key, each with the moment since when; SlotsAt is when slots were last changed.
	SlotGone map[string]boottime.Instant
	SlotsAt  boottime.Instant
	// Absent are the members that do not stream from this primary, each with the moment since when.
	Absent map[string]boottime.Instant
}

// Handover is a lead that is being given up in order.
type Handover struct {
	Term   dcs.Term
	To     string // the candidate
	Reason string
	Since  boottime.Instant
	Stage  int
}

// Timing is what follows from the ttl in force.
func (s *Snapshot) timing() dynamic.Timing { return dynamic.TimingFor(s.Set.TTL) }

// holdsKey says whether the leader key in view is bound to our own lease.
func (s *Snapshot) holdsKey() bool {
	l := s.Store.Cluster.Leader
	return l != nil && l.Name == s.Self.Name && l.Lease == s.Lease.ID && s.Lease.ID != 0
}

// leaseValid says whether the lease still has d and the margin ahead of it.
func (s *Snapshot) leaseValid(d time.Duration) bool {
	return s.Lease.ID != 0 && s.Now.Add(d+s.timing().Margin).Before(s.Lease.Deadline)
}

// fenceDeadline is what the fence may be told for a term: the lease's end less the margin, or what the members have allowed.
func (s *Snapshot) fenceDeadline(t dcs.Term) boottime.Instant {
	return max(s.Lease.Deadline.Add(-s.timing().Margin), s.failsafeDeadline(t))
}

// writable says whether PostgreSQL runs as a primary.
func (p *PG) writable() bool { return p.Phase == Running && !p.InRecovery }

// standby says whether PostgreSQL runs as a standby.
func (p *PG) standby() bool { return p.Phase == Running && p.InRecovery }
