package dynamic

import "time"

// Config is the typed view of a cluster's shared configuration: every setting has a usable value.
type Config struct {
	// TTL is how long the leader's lease lives without renewal; whole seconds.
	TTL time.Duration
	// LoopWait is the longest time between two looks at the cluster; whole seconds.
	LoopWait time.Duration
	// RetryTimeout is how long one exchange with the store or PostgreSQL may be retried; whole seconds.
	RetryTimeout time.Duration
	// PrimaryRaceBackoff delays a race for the lead while received WAL is still being streamed in.
	PrimaryRaceBackoff time.Duration
	// MaximumLagOnFailover is how many bytes a candidate may be behind the last known position of the primary.
	MaximumLagOnFailover int64
	// MaximumLagOnSyncnode is how many bytes a synchronous standby may lag before another replaces it; negative: no limit.
	MaximumLagOnSyncnode int64
	// MaxTimelinesHistory is how many timelines the key /history keeps; 0: all.
	MaxTimelinesHistory int
	// PrimaryStartTimeout is how long a crashed primary may recover before another is promoted; 0: fail over at once.
	PrimaryStartTimeout time.Duration
	// PrimaryStopTimeout is how long a primary in synchronous mode may take to stop before it is killed; 0: no limit.
	PrimaryStopTimeout time.Duration
	// SynchronousMode says whether commits wait for standbys that then alone may be promoted.
	SynchronousMode SyncMode
	// SynchronousModeStrict blocks writes rather than continue without a synchronous standby.
	SynchronousModeStrict bool
	// SynchronousNodeCount is how many synchronous standbys there shall be.
	SynchronousNodeCount int
	// FailsafeMode lets a primary that has lost the store go on while every member promises not to promote.
	FailsafeMode bool
	// CheckTimeline keeps a node on an older timeline out of the race for the lead.
	CheckTimeline bool
	// Pause takes the cluster's management away from the agents.
	Pause bool
	// MemberSlotsTTL is how long the slot of a member that has gone is kept.
	MemberSlotsTTL time.Duration
	// Slots are the permanent replication slots by name.
	Slots map[string]Slot
	// IgnoreSlots match the slots that are never touched.
	IgnoreSlots []SlotMatcher
	// StandbyCluster is the remote primary that the whole cluster follows; nil for a cluster of its own.
	StandbyCluster *StandbyCluster
	// PostgreSQL are the settings of the servers.
	PostgreSQL PostgreSQL
}

// SyncMode is a mode of synchronous replication.
type SyncMode string

// The modes of synchronous replication.
const (
	SyncOff    SyncMode = "off"    // commits wait for nobody
	SyncOn     SyncMode = "on"     // commits wait for each of the chosen standbys
	SyncQuorum SyncMode = "quorum" // commits wait for any so many of the standbys
)

// Enabled says whether commits wait for anybody.
func (m SyncMode) Enabled() bool { return m == SyncOn || m == SyncQuorum }

// Slot is a permanent replication slot.
type Slot struct {
	Type        SlotType
	Database    string // of a logical slot
	Plugin      string // of a logical slot
	ClusterType string // "primary", "standby", or "" for both
}

// HasLogicalSlots says whether the cluster keeps permanent logical slots, which its standbys carry copies of.
func (c Config) HasLogicalSlots() bool {
	for _, s := range c.Slots {
		if s.Type == LogicalSlot && s.ClusterType != "standby" && c.StandbyCluster == nil && c.PostgreSQL.UseSlots {
			return true
		}
	}
	return false
}

// SlotType is the kind of a replication slot.
type SlotType string

// The kinds of replication slot.
const (
	PhysicalSlot SlotType = "physical"
	LogicalSlot  SlotType = "logical"
)

// SlotMatcher selects slots: every field that is not empty must be equal.
type SlotMatcher struct {
	Name     string
	Type     SlotType
	Database string
	Plugin   string
}

// Matches says whether a slot is selected.
func (m SlotMatcher) Matches(name string, s Slot) bool {
	return (m.Name == "" || m.Name == name) &&
		(m.Type == "" || m.Type == s.Type) &&
		(m.Database == "" || m.Database == s.Database) &&
		(m.Plugin == "" || m.Plugin == s.Plugin)
}

// StandbyCluster names the remote primary of a standby cluster, or the archive that it is restored from.
type StandbyCluster struct {
	Host                  string // may be a comma-separated list
	Port                  string // empty: 5432
	PrimarySlotName       string
	CreateReplicaMethods  []string
	RestoreCommand        string
	ArchiveCleanupCommand string
	RecoveryMinApplyDelay string // as PostgreSQL takes it, for example "5min"
}
