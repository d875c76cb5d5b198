package dcs

import "strings"

// Keys makes the names of one cluster's keys.
type Keys struct{ base string }

// NewKeys makes the keys of a scope in a namespace; an empty namespace is "/service".
func NewKeys(namespace, scope string) Keys {
	ns := strings.Trim(namespace, "/")
	if ns == "" {
		ns = "service"
	}
	return Keys{base: "/" + ns + "/" + scope + "/"}
}

// Prefix is what all keys of the cluster begin with.
func (k Keys) Prefix() string { return k.base }

// Leader holds the name of the node that leads, bound to that node's lease.
func (k Keys) Leader() string { return k.base + "leader" }

// Initialize holds the system identifier; it is empty while one node bootstraps the cluster.
func (k Keys) Initialize() string { return k.base + "initialize" }

// Config holds the dynamic configuration.
func (k Keys) Config() string { return k.base + "config" }

// Status holds the leader's last LSN and the slots' positions.
func (k Keys) Status() string { return k.base + "status" }

// Optime is the older form of Status: an LSN as a decimal number.
func (k Keys) Optime() string { return k.base + "optime/leader" }

// History holds the timelines' ends.
func (k Keys) History() string { return k.base + "history" }

// Failover holds a switchover or failover that an operator asked for.
func (k Keys) Failover() string { return k.base + "failover" }

// Sync holds who is synchronous.
func (k Keys) Sync() string { return k.base + "sync" }

// Failsafe holds the members that must agree when the store is away.
func (k Keys) Failsafe() string { return k.base + "failsafe" }

// Members is what all member keys begin with.
func (k Keys) Members() string { return k.base + "members/" }

// Member holds what one node tells of itself, bound to its lease.
func (k Keys) Member(name string) string { return k.Members() + name }

// Released is written in the transaction that gives the lead up: it proves that the term ended in order, and up to which LSN.
func (k Keys) Released() string { return k.base + "quorate/released" }

// Unfenced is the committed record that lets one node stay writable without a lease (pause); while it stands nobody else is promoted.
func (k Keys) Unfenced() string { return k.base + "quorate/unfenced" }

// Losses holds the reports of what was lost at failovers.
func (k Keys) Losses() string { return k.base + "quorate/losses" }

// Roster holds the data hosts that the leader knew of.
func (k Keys) Roster() string { return k.base + "quorate/roster" }
