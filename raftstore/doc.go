// Package raftstore is the consensus store: etcd's key-value store, leases, watches, users and alarms, replicated by
// hashicorp/raft, without etcd's server.
//
// A Store is one member. Everything that changes the state is a command in the Raft log (command.go) that every member
// applies alike (apply.go) to etcd's own backend, mvcc and txn packages (state.go). Any member serves any request: a write
// is forwarded to the leader and answered once it is applied here too (propose.go); a read asks the leader, which asks a
// quorum, how far this member must have come (read.go, confirm.go).
//
// What is not in the log is time. The leader alone lets leases expire (leases.go), by a clock that never leaps
// (leasetime.go). A keep-alive needs a quorum's word and no disk.
//
// A member's life:
//
//	folder empty ──promise, all founders──► founder ─┐
//	     │                                           ├─► member ──catches up──► serves ──► closed
//	     └────────asks a member─────────► learner ───┘     │
//	                                                       └─ failed: Failed delivers, the process lives on
//
// The package knows no HTTP, no gRPC and no PostgreSQL. Why it is as it is, and what that costs, is in DESIGN.md.
package raftstore
