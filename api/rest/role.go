package rest

import "slices"

// State is what PostgreSQL is doing, in Patroni's words.
type State string

// The states in the order of Patroni's numbers, which the metric patroni_postgres_state shows and which never change.
const (
	StateInitdb                State = "initializing new cluster"
	StateInitdbFailed          State = "initdb failed"
	StateCustomBootstrap       State = "running custom bootstrap script"
	StateCustomBootstrapFailed State = "custom bootstrap failed"
	StateCreatingReplica       State = "creating replica"
	StateRunning               State = "running"
	StateStarting              State = "starting"
	StateBootstrapStarting     State = "starting after custom bootstrap"
	StateStartFailed           State = "start failed"
	StateRestarting            State = "restarting"
	StateRestartFailed         State = "restart failed"
	StateStopping              State = "stopping"
	StateStopped               State = "stopped"
	StateStopFailed            State = "stop failed"
	StateCrashed               State = "crashed"

	// StateUnknown is shown, and never set: PostgreSQL runs and does not answer.
	StateUnknown State = "unknown"
)

var states = []State{
	StateInitdb, StateInitdbFailed, StateCustomBootstrap, StateCustomBootstrapFailed, StateCreatingReplica, StateRunning,
	StateStarting, StateBootstrapStarting, StateStartFailed, StateRestarting, StateRestartFailed, StateStopping, StateStopped,
	StateStopFailed, StateCrashed,
}

// Number is the value of the metric patroni_postgres_state; -1 for a state without one.
func (s State) Number() int { return slices.Index(states, s) }

// Role is what a node's PostgreSQL is, in the words of Patroni 4.
type Role string

// The roles.
const (
	RolePrimary       Role = "primary"
	RoleStandbyLeader Role = "standby_leader"
	RoleReplica       Role = "replica"
	RolePromoted      Role = "promoted" // has been told to promote and has not yet become a primary
	RoleDemoted       Role = "demoted"
	RoleUninitialized Role = "uninitialized"
)

// shown is the state as it is told: running is only believed of a PostgreSQL that answers.
func (p Postgres) shown() State {
	if p.State == StateRunning && !p.Answering {
		return StateUnknown
	}
	return p.State
}
