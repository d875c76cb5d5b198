package syncset

import "quorate/pgctl/postgres"

// Mode is the setting synchronous_mode.
type Mode int

// The modes.
const (
	Off    Mode = iota // commits wait for nobody and anybody may be promoted
	On                 // all listed standbys confirm, and each may be promoted
	Quorum             // k of the listed standbys confirm, and enough of them elect
)

func (m Mode) String() string {
	switch m {
	case On:
		return "on"
	case Quorum:
		return "quorum"
	}
	return "off"
}

// Names is the value of synchronous_standby_names.
type Names = postgres.SyncNames

// Placeholder is a name that no member bears. In strict mode a list of it alone makes every commit wait. Patroni 4.1 wrote *
// instead, which a nosync standby or a pg_receivewal would satisfy.
const Placeholder = "__patroni_strict_sync_replica_placeholder__"

// Standby is a member other than the leader, or a walsender of the leader that goes by a member's name. Give one entry for each
// member, with the row of pg_stat_replication that bears its name folded in, and one entry for each further row: a name that
// occurs twice is never relied on, because either of the two could confirm a commit (patroni PR 3556).
type Standby struct {
	Name string
	// Streaming is state = 'streaming' in pg_stat_replication. The fields of that row count only with it.
	Streaming bool
	SyncState string       // async, potential, sync or quorum
	FlushLSN  postgres.LSN // what it has on disk
	ReplayLSN postgres.LSN // what its queries see
	Lag       uint64       // bytes that it has still to flush, or to replay where commits wait for that
	// SyncPriority is the tag: 0 forbids (nosync), a higher one is preferred.
	SyncPriority int
	// Alive says that the lease of its member key stands.
	Alive bool
	// GivenUp says that it has not streamed for longer than the caller is willing to let commits wait, although it is alive: its
	// replication is broken, and no lease will ever end. It counts as dead until it streams again.
	GivenUp bool
	// Quiet says that it has not streamed for longer than an interruption lasts, although it is alive. Another takes its place in mode on, if one can.
	Quiet bool
}

// Key is the sync key. No key and a key without voters differ: without a key anybody may be elected.
type Key struct {
	Leader string
	Quorum int
	Voters []string
}

// State is all that a plan depends on.
type State struct {
	Mode      Mode
	Strict    bool  // synchronous_mode_strict: no commit without a standby
	NodeCount int   // synchronous_node_count; less than 1 counts as 1
	MaxLag    int64 // maximum_lag_on_syncnode in bytes; 0 and less: no limit
	Leader    string
	Standbys  []Standby

	// InEffect is what PostgreSQL uses now, and Asked what its configuration says: what a reload that is still under way, or a
	// restart, brings into effect. They are equal at rest.
	InEffect, Asked Names
	// Since is the leader's own flush position, read after InEffect was known to be in effect in every process that lets commits
	// through: the walsenders, and the checkpointer, which holds the flag that makes backends wait at all (syncrep.c). That a
	// session shows the new value proves neither. A standby that has flushed up to Since has every commit that earlier names let
	// through. 0: not known, or not any more; then nobody counts as caught up, and no voter is named.
	Since postgres.LSN
	// Configured is what the user's own parameters say. It is used in mode Off.
	Configured Names

	Key       Key
	KeyExists bool
	// KeyInDoubt says that a write of the key was sent whose outcome is unknown and which may still arrive.
	KeyInDoubt bool
}
