package rest

import "errors"

// The errors of a [Backend] that a client can act on. Their texts are Patroni's answers.
var (
	// ErrRestartConditions: the node is not of the role, version or state that the request names.
	ErrRestartConditions = errors.New("restart conditions are not satisfied")
	// ErrStillStarting: the restart's timeout passed while PostgreSQL was starting; it goes on starting.
	ErrStillStarting = errors.New("postgres is still starting")
	// ErrRestartFailed: PostgreSQL could not be stopped or started.
	ErrRestartFailed = errors.New("restart failed")
	// ErrRestartScheduled: only one restart can be scheduled at a time.
	ErrRestartScheduled = error(patroniText("Another restart is already scheduled"))
	// ErrNoRestart: there is nothing to cancel.
	ErrNoRestart = errors.New("no restarts are scheduled")
	// ErrNoLeader: a standby cannot be made anew while nobody leads.
	ErrNoLeader = error(patroniText("Cluster has no leader, can not reinitialize"))
	// ErrIsLeader: the leader cannot be made anew.
	ErrIsLeader = error(patroniText("I am the leader, can not reinitialize"))
	// ErrNoPostgres: the host holds no PostgreSQL.
	ErrNoPostgres = errors.New("this host has no PostgreSQL: its roles do not include postgres")
	// ErrFailsafeOff: failsafe_mode is not enabled.
	ErrFailsafeOff = errors.New("failsafe_mode is not enabled")
	// ErrRunningAsLeader: this node is a running primary itself and lets no other one go on.
	ErrRunningAsLeader = error(patroniText("Running as a leader"))
	// ErrPledgeRefused: this node holds a lease of its own, or has pledged a later term; the error says which.
	ErrPledgeRefused = errors.New("pledge refused")
	// ErrNoSession: the router has no session of that id.
	ErrNoSession = errors.New("no such session")
	// ErrNoMember: the store has no member of that id.
	ErrNoMember = errors.New("no such member of the store")
	// ErrBadMember: what was given is no address of a member.
	ErrBadMember = errors.New("peer_url: expected http://address:2380 or https://address:2380")
	// ErrMemberRefused: the store is well, and does not do this to its members; the error says why.
	ErrMemberRefused = errors.New("not possible")
)

// patroniText is an error whose text is an answer of Patroni's, word for word.
type patroniText string

func (t patroniText) Error() string { return string(t) }

// BusyError means that another operation is in flight.
type BusyError struct{ Operation string }

func (e *BusyError) Error() string { return e.Operation + " already in progress" }
