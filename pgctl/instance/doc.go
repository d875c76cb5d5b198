// Package instance owns one PostgreSQL: its data folder, its processes and the agent's own connections to it.
//
// An Instance does what it is told and decides nothing. Each operation that changes the folder or the postmaster (Initdb, Clone,
// StartPrimary, StartStandby, Stop, Restart, Promote, Follow, StopReceiver, Rewind, Reclone) blocks until it is done, ends early with its
// context, and excludes the others: a second one gets ErrBusy at once. What only asks or tunes a running server (Checkpoint, slots,
// SetSynchronous, Configure) may run beside them. The Monitor looks at the server on a connection of its own.
//
// # A folder at rest is a standby
//
// Whatever starts PostgreSQL on the folder must not get a second primary, so that standby.signal lies in it whenever it is at rest,
// and is put back right after each promotion. A primary's start takes it away for as long as the start lasts. Two programs refuse it,
// single-user recovery and pg_rewind; while they run it is moved aside behind a marker.
//
// # Markers
//
// A marker is a file in the state folder that names an operation which leaves the data folder unusable if it is interrupted. It
// is on disk before the operation's first change and goes after its last. While it stands nothing starts PostgreSQL; Inspect reports
// ErrUnfinished and what is needed.
//
// # Nothing is lost silently
//
// Rewind and Reclone first keep aside what they are about to destroy, and report it (LossReport).
package instance
