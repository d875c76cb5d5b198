// Package writer is the client side of package check: it commits rows with ids of its own making, one after the other, and records each attempt
// before it is sent and again when its outcome is known.
//
// A writer never repeats an id and never repairs anything: what a driver or an application would retry is a new attempt here. It comes in three
// ways of holding sessions (Mode), because they fail differently: a kept session shows whether a deposed primary still answers those that it
// knew, a new one for each commit shows who takes newcomers, and a statement in flight shows what becomes of work that began before the fault.
package writer
