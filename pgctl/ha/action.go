package ha

import (
	"fmt"
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// Lane groups actions that exclude each other.
type Lane string

// The lanes.
const (
	LaneLease  Lane = "lease"
	LaneCommit Lane = "commit" // everything about the lead: one change at a time
	LaneMember Lane = "member"
	LaneStatus Lane = "status"
	LaneFence  Lane = "fence"
	LaneKill   Lane = "kill" // from the order to fence until everything has gone
	LanePG     Lane = "postgres"
	LanePeers  Lane = "peers"
	LaneSafe   Lane = "failsafe"
	LaneExit   Lane = "exit"
)

// Action is something to do, as data.
type Action interface {
	Lane() Lane
	fmt.Stringer
}

// GrantLease makes this node's lease.
type GrantLease struct{ TTL time.Duration }

// RenewLease renews it. A wedged agent renews nothing, because renewing is a decision.
type RenewLease struct{ ID int64 }

// AdoptLease takes up the lease of this node's former process, whose leader key still stands and whose primary still runs under
// the fence: nothing is interrupted by a restart of the agent.
type AdoptLease struct{ ID int64 }

// Commit changes the store, all or nothing.
type Commit struct {
	In   Lane
	What string
	Txn  dcs.Txn
}

// What the commits of [Commit.Upkeep] do.
const (
	writeHistory = "write the history"
	writeRoster  = "write the roster"
)

// Upkeep says whether the commit only writes down, for members and routers, what has happened already.
func (a Commit) Upkeep() bool { return a.What == writeHistory || a.What == writeRoster }

// ArmFence tells the fence how long the term is good for.
type ArmFence struct {
	Term     dcs.Term
	Deadline boottime.Instant
}

// Unfence drops the fence's deadline (maintenance). The record that keeps others from being promoted is committed already.
type Unfence struct{ Term dcs.Term }

// FenceNow kills every process of the instance at once.
type FenceNow struct{ Why string }

// Initdb makes a new data folder.
type Initdb struct{}

// StartPrimary starts PostgreSQL for writes: a bootstrap, or the restart in place of a primary that crashed. The fence refuses
// it without a deadline ahead.
type StartPrimary struct {
	Term      dcs.Term
	Bootstrap bool // afterwards make the roles and run post_bootstrap
}

// StartStandby starts PostgreSQL read-only.
type StartStandby struct{ Upstream Upstream }

// Promote opens a standby for writes. Names are in effect before it opens.
type Promote struct {
	Term  dcs.Term
	Names postgres.SyncNames
}

// ReadTail reads the log of a crashed primary from a position on, to find where its last commit ends.
type ReadTail struct{ From postgres.LSN }

// Checkpoint writes a checkpoint while the server goes on, so that the shutdown's own is short.
type Checkpoint struct{}

// Stop stops PostgreSQL. Mode is fast or immediate.
type Stop struct {
	Mode string
	Why  string
	// Archive puts the end of the log into the archive after it, for a cluster that is to follow whoever reads it there.
	Archive bool
	// Logins lets logins that are under way come to their end first: the routers let no new ones in.
	Logins bool
}

// Follow points a running standby at an upstream.
type Follow struct{ Upstream Upstream }

// Pledge stores "nothing from terms up to Term" on disk, stops the WAL receiver and then learns the flush position.
type Pledge struct{ Term dcs.Term }

// CheckWAL compares the local WAL with the leader's history.
type CheckWAL struct{ Leader Upstream }

// Rewind takes a diverged data folder back to the leader's history. What is lost by it is kept aside and reported.
type Rewind struct {
	Leader Upstream
	Fork   postgres.LSN
}

// Clone copies a data folder from another member. Aside keeps a folder that is there under another name.
type Clone struct {
	From  Upstream
	Aside bool
}

// Restart stops and starts PostgreSQL in the role that it has. One that does not run (Stopped: in a pause) starts as a standby of Upstream, whatever
// it was before.
type Restart struct {
	ID       uint64
	Stopped  bool
	Upstream Upstream
}

// CopySlots makes copies of the leader's logical slots. PostgreSQL reads such at its start only: where there is something to copy it is stopped, and
// started again as a standby of Upstream.
type CopySlots struct {
	Names    []string
	Leader   Upstream
	Upstream Upstream
}

// SetNames changes synchronous_standby_names.
type SetNames struct{ Names postgres.SyncNames }

// AskPeers asks the members for their pledges and positions. Without a Target nobody pledges anything.
type AskPeers struct {
	Target dcs.Term
	From   map[string]string // API URLs by name
	Wait   []string          // whose answers are worth waiting for
}

// AskFailsafe asks the members to promise that they take no lead for a ttl: this primary has lost the store.
type AskFailsafe struct {
	Term    dcs.Term
	TTL     time.Duration
	Members map[string]string // API URLs by name
	Slots   map[string]int64  // positions that the standbys move their copies to
}

// Exit ends the agent.
type Exit struct {
	Code int
	Why  string
}

// Lane says which actions exclude it.
func (GrantLease) Lane() Lane   { return LaneLease }
func (RenewLease) Lane() Lane   { return LaneLease }
func (AdoptLease) Lane() Lane   { return LaneLease }
func (a Commit) Lane() Lane     { return a.In }
func (ArmFence) Lane() Lane     { return LaneFence }
func (Unfence) Lane() Lane      { return LaneFence }
func (FenceNow) Lane() Lane     { return LaneKill }
func (Initdb) Lane() Lane       { return LanePG }
func (StartPrimary) Lane() Lane { return LanePG }
func (StartStandby) Lane() Lane { return LanePG }
func (Promote) Lane() Lane      { return LanePG }
func (ReadTail) Lane() Lane     { return LanePG }
func (Checkpoint) Lane() Lane   { return LanePG }
func (Stop) Lane() Lane         { return LanePG }
func (Follow) Lane() Lane       { return LanePG }
func (Pledge) Lane() Lane       { return LanePG }
func (CheckWAL) Lane() Lane     { return LanePG }
func (Rewind) Lane() Lane       { return LanePG }
func (Clone) Lane() Lane        { return LanePG }
func (Restart) Lane() Lane      { return LanePG }
func (CopySlots) Lane() Lane    { return LanePG }
func (SetNames) Lane() Lane     { return LanePG }
func (AskPeers) Lane() Lane     { return LanePeers }
func (AskFailsafe) Lane() Lane  { return LaneSafe }
func (Exit) Lane() Lane         { return LaneExit }

func (a GrantLease) String() string { return fmt.Sprintf("grant a lease of %s", a.TTL) }
func (a RenewLease) String() string { return fmt.Sprintf("renew lease %x", a.ID) }
func (a AdoptLease) String() string { return fmt.Sprintf("adopt lease %x", a.ID) }
func (a Commit) String() string     { return "commit: " + a.What }
func (a ArmFence) String() string   { return fmt.Sprintf("arm the fence for term %s", a.Term) }
func (a Unfence) String() string    { return fmt.Sprintf("drop the fence's deadline of term %s", a.Term) }
func (a FenceNow) String() string   { return "fence now: " + a.Why }
func (Initdb) String() string       { return "initdb" }
func (a StartPrimary) String() string {
	if a.Bootstrap {
		return "start the new cluster"
	}
	return "start as primary"
}
func (a StartStandby) String() string {
	if a.Upstream.Name == "" {
		return "start as standby"
	}
	return "start as standby of " + a.Upstream.Name
}
func (a Promote) String() string  { return fmt.Sprintf("promote for term %s", a.Term) }
func (a ReadTail) String() string { return "read the log from " + a.From.String() + " on" }
func (Checkpoint) String() string { return "checkpoint" }
func (a Stop) String() string {
	if a.Archive {
		return fmt.Sprintf("stop (%s) and archive the end of the log: %s", a.Mode, a.Why)
	}
	return fmt.Sprintf("stop (%s): %s", a.Mode, a.Why)
}
func (a Follow) String() string   { return "follow " + orNobody(a.Upstream.Name) }
func (a Pledge) String() string   { return fmt.Sprintf("pledge: nothing from terms up to %s", a.Term) }
func (a CheckWAL) String() string { return "compare the WAL with " + a.Leader.Name }
func (a Rewind) String() string   { return fmt.Sprintf("rewind to %s at %s", a.Leader.Name, a.Fork) }
func (a Clone) String() string    { return "clone from " + orNobody(a.From.Name) }
func (a CopySlots) String() string {
	return fmt.Sprintf("copy the logical slots %s of %s", strings.Join(a.Names, ", "), orNobody(a.Leader.Name))
}
func (a SetNames) String() string { return fmt.Sprintf("synchronous_standby_names = %q", a.Names) }
func (a AskPeers) String() string {
	if a.Target.IsZero() {
		return fmt.Sprintf("ask %d members for their positions", len(a.From))
	}
	return fmt.Sprintf("ask %d members for their pledges", len(a.From))
}
func (a AskFailsafe) String() string {
	return fmt.Sprintf("ask %d members to let this primary go on without the store", len(a.Members))
}
func (a Exit) String() string { return fmt.Sprintf("exit %d: %s", a.Code, a.Why) }

func orNobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}

// Code names a reason for programs.
type Code string

// The reasons.
const (
	CodeNoStore     Code = "no_store"
	CodeNoLease     Code = "no_lease"
	CodeLeading     Code = "leading"
	CodePromoting   Code = "promoting"
	CodeFollowing   Code = "following"
	CodeWaiting     Code = "waiting"
	CodeRacing      Code = "racing"
	CodeBootstrap   Code = "bootstrap"
	CodeDemoting    Code = "demoting"
	CodeFenced      Code = "fenced"
	CodeRecovering  Code = "recovering"
	CodeFailingOver Code = "failing_over"
	CodeHandover    Code = "handover"
	CodeRejoining   Code = "rejoining"
	CodeCloning     Code = "cloning"
	CodePaused      Code = "paused"
	CodeStopping    Code = "stopping"
	CodeFatal       Code = "fatal"
)

// Reason says why, in a word and in a sentence.
type Reason struct {
	Code Code
	Text string
	// GaveUp is why an operator's switchover or failover has just been given up; "" when none was.
	GaveUp string
}

// InProgress says whether the reason is only that an operation which was begun by an earlier decision goes on. Its beginning, its end and what
// follows have been, or will be, told.
func (r Reason) InProgress() bool { return strings.HasPrefix(r.Text, inProgress) }

// inProgress begins the reasons of [Reason.InProgress].
const inProgress = "an operation is in progress"

// Decision is what follows from a Snapshot.
type Decision struct {
	// Actions are in order: an action may rely on those before it having been begun.
	Actions []Action
	// Wake is when to look again if nothing happens until then.
	Wake   boottime.Instant
	Reason Reason
	Mem    Memory
	// Hold says that clients are to be held rather than sent to the primary: it is about to go.
	Hold bool
}

func (a Restart) String() string {
	if a.Stopped {
		return StartStandby{Upstream: a.Upstream}.String()
	}
	return "restart"
}
