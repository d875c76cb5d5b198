// Package v2keys is the state machine of etcd's v2 key space: a tree of directories and values with indexes, conditions,
// watches and keys that expire. It is separate from the v3 key space, as it is in etcd. The tree itself is etcd's own
// v2store; this package makes it a replicated one.
//
// How a store uses it:
//
//  1. A write is Encode'd on the node that received it. The leader stamps the command with the time (Stamp) just before it
//     appends it to the log; every node applies it (Apply) and comes to the same Result, which EncodeResult carries to a
//     node that waits elsewhere.
//  2. The leader calls Tick every half second and proposes what Expire gives it.
//  3. Save is the whole state for a snapshot, Recover puts it back and ends the watches: a client lists again.
//
// # Time
//
// In etcd, v2 TTLs are wall-clock times that the entry node writes into the log, and a leader whose clock runs ahead
// expires keys early (patroni/patroni#1018, etcd-io/etcd#2927). Here time is a counter of the cluster. Only the leader
// advances it, by its monotonic clock and by no more than a second per tick, so that a stopped process or a suspended
// machine does not make keys leap to their end; each command carries it, and a node that becomes leader goes on from the
// largest value that it has applied plus the time since then. A key can therefore expire late, by what passed without a
// leader, and never early.
//
// Callers pass their monotonic reading in; the package reads no clock. (v2store does, for the ttl field of its answers;
// front ends compute that field anew from the expiration.)
package v2keys
