package rest

import (
	"context"

	"quorate/raftstore/dcs"
)

// NoPostgres are the [Actions] and [Peers] of a host without PostgreSQL, a router's or the store's: there is nothing to restart and
// nothing to promise. Its API still shows the cluster, the router and the store's members, takes configuration and
// switchovers, and answers no health check but /liveness with 200.
//
// WakeFunc may be nil.
type NoPostgres struct {
	WakeFunc   func()
	ReloadFunc func(context.Context) error
	ProbeFunc  func(ctx context.Context, members []dcs.Member) []Candidate
}

// Wake implements [Actions].
func (n NoPostgres) Wake() {
	if n.WakeFunc != nil {
		n.WakeFunc()
	}
}

// Restart implements [Actions].
func (NoPostgres) Restart(context.Context, RestartRequest) error { return ErrNoPostgres }

// ScheduleRestart implements [Actions].
func (NoPostgres) ScheduleRestart(context.Context, RestartRequest) error { return ErrNoPostgres }

// CancelRestart implements [Actions].
func (NoPostgres) CancelRestart(context.Context) error { return ErrNoRestart }

// Reinitialize implements [Actions].
func (NoPostgres) Reinitialize(context.Context, ReinitRequest) error { return ErrNoPostgres }

// Reload implements [Actions].
func (n NoPostgres) Reload(ctx context.Context) error { return n.ReloadFunc(ctx) }

// Failsafe implements [Peers].
func (NoPostgres) Failsafe(context.Context, FailsafeRequest) (uint64, error) {
	return 0, ErrFailsafeOff
}

// Pledge implements [Peers].
func (NoPostgres) Pledge(context.Context, PledgeRequest) (PledgeAnswer, error) {
	return PledgeAnswer{}, ErrNoPostgres
}

// Probe implements [Peers].
func (n NoPostgres) Probe(ctx context.Context, members []dcs.Member) []Candidate {
	return n.ProbeFunc(ctx, members)
}
