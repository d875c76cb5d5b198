// Package ha decides. Decide takes a Snapshot, which holds all that a decision may depend on, and returns a Decision: actions as
// data, in order, the moment to look again, and the sentence that says why. It is pure: it reads no clock, no disk, no
// network, and remembers nothing but what Snapshot.Mem carries.
//
// Contract with the caller (internal/node):
//
//  1. Carry out the actions in the order given. Those of one Lane exclude each other: Decide gives none for a lane that is
//     Busy. Fence actions are never queued behind anything.
//  2. A lane stays Busy until its action has ended and the Snapshot shows what it did: a commit until the cluster's view has
//     reached the commit's revision, a PostgreSQL operation until a sample that was taken after its end has come.
//  3. Decide again after every event, and at Wake at the latest. Calling it too often or too late costs time, never safety.
//  4. Store Decision.Mem and give it back in the next Snapshot.
//  5. Deadlines: Lease.Deadline counts from before the request was sent.
//
// Every store action carries its compares, so that a decision made on an old view fails instead of doing harm (invariant I9).
// One file per situation: lead.go, follow.go, race.go, bootstrap.go, pause.go, stopping.go.
package ha
