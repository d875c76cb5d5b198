// Package sim runs whole clusters of ha.Decide on a virtual clock: three hosts with an agent, a fence and a PostgreSQL each, a
// store that answers late, twice, never, or that did what nobody heard of, clients that commit on every host, and faults. All of
// it follows from one seed, so that a failure can be run again; the invariants are checked after every step.
//
// What is modelled is what safety rests on: leases that the store ends on its own clock, deadlines on each host's clock, WAL as a
// list of commits with timelines, synchronous_standby_names as PostgreSQL honours it, the death of processes and of hosts.
package sim
