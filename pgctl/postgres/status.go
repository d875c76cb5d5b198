package postgres

import "time"

// Status is what a running PostgreSQL says about itself at one moment.
type Status struct {
	SystemID   string
	Version    Version
	InRecovery bool // a standby, or still recovering
	// Timeline is the one being written (primary), or received and replayed (standby).
	Timeline Timeline
	// CheckpointTimeline is, on a standby, that of its last restart point.
	CheckpointTimeline Timeline
	// Current is the end of the log on a primary, 0 on a standby.
	Current LSN
	// Received is how far a standby has log safely on its own disk, streamed or not; Replayed how far it has applied it.
	Received, Replayed LSN
	// ReplayedXactAt is the commit time of the last transaction applied, by the primary's wall clock; zero when there is none.
	ReplayedXactAt time.Time
	ReplayPaused   bool
	SyncNames      string // synchronous_standby_names in effect
	SlotSync       bool   // version 17: sync_replication_slots, this server takes its primary's failover slots over by itself
	StartedAt      time.Time
	ConfLoadedAt   time.Time
	Receiver       *Receiver // nil when the WAL receiver does not run
	Standbys       []Standby // connected to this server
	Slots          []Slot
	Pending        []Pending // parameters that wait for a restart
}

// End is how far the server's log goes: what it would bring into a promotion.
func (s Status) End() LSN {
	if !s.InRecovery {
		return s.Current
	}
	return max(s.Received, s.Replayed)
}

// Receiver is the WAL receiver of a standby (pg_stat_wal_receiver).
type Receiver struct {
	PID      int
	Status   string // starting, streaming, waiting, restarting, stopping
	Host     string
	Port     int
	Slot     string
	Timeline Timeline
}

// Standby is a row of pg_stat_replication. Positions that the standby has not told yet are 0.
type Standby struct {
	PID          int
	Name         string // application_name
	User         string
	Addr         string
	State        string // startup, catchup, streaming, backup, stopping
	SyncState    string // async, potential, sync, quorum
	SyncPriority int
	Sent         LSN
	Write        LSN
	Flush        LSN
	Replay       LSN
}

// Slot is a row of pg_replication_slots.
type Slot struct {
	Name        string
	Logical     bool
	Plugin      string
	Database    string
	Active      bool
	Temporary   bool
	HoldsXmin   bool   // xmin or catalog_xmin holds vacuum back
	CatalogXmin uint32 // the oldest transaction whose catalog rows it needs, 0: none
	Restart     LSN    // the oldest log it keeps, 0 when it keeps none
	Confirmed   LSN    // of a logical slot
	WALStatus   string // reserved, extended, unreserved, lost; "" when the slot keeps nothing
	Failover    bool   // version 17: the slot is to be synchronised to standbys
	Synced      bool   // version 17: it is such a copy
}
