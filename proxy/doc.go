// Package proxy is the router: the TCP front door on ports 5000 and 5001 that HAProxy is in a Patroni cluster.
//
// It never asks who the primary is; it is told. The node publishes a Table (backends, their roles and lag, the primary's
// term, and until when all that may be relied on), and every decision is a pure function of that table (pick.go):
//
//	node --Publish(Table)--> governor --ends the old term's sessions--> table in use --wakes--> held clients
//
// What it promises:
//
//   - A session reaches a primary only by a table that has not expired (on a clock that counts suspend) and only while
//     the term it was started under lasts. A table of another term ends the old term's sessions before it is used, and
//     a table that expires ends them by a timer.
//   - While there is no primary a new client waits, bounded in count, bytes and time, and goes through when the next one
//     is there; else it gets PostgreSQL's own error 57P03 with a sentence that says what to do.
//   - The first bytes are looked at and passed on untouched: encryption requests, direct TLS, cancel requests and
//     startup messages. After them the router is a pipe; it speaks for itself only to say why it ends a session.
//
// A cancel request is sent to the server that issued its key, to every backend of the listener when this router has never
// seen the key (the session runs through another router, or is encrypted). An encrypted cancel request cannot be told from a
// session: on a listener with one possible backend it arrives, on others only with the balance "source".
package proxy
