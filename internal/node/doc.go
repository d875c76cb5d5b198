// Package node puts one host together: the store's member, the gossip, PostgreSQL with its fence, the HTTP API and the router,
// and the loop that decides.
//
//	events: store view · lease · PostgreSQL sample · operation's end · fence · peers' answers · requests · timer
//	   │
//	   ▼
//	fold into known ──> Snapshot ──> ha.Decide ──> Decision ──> executor (never blocks the loop)
//	                                     │
//	                                     └──> publish: REST status, routing table, log
//
// Level, not edge: an event only says "look again". Losing, doubling or reordering events costs time, never the outcome.
// One goroutine owns known; everything else speaks to it in events.
package node
