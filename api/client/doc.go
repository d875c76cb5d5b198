// Package client calls the HTTP API of cluster members: Patroni's paths, which are also ours.
//
// Reads go to every known member, a little apart in time, and the first good answer counts: a host that hangs costs a fraction of a
// second and not a timeout. Writes go to one member that the caller names, once, because a write that was lost on the way back may
// have happened.
package client
