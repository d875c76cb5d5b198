// Package rig puts writers on a cluster in a lab and judges what they saw: the one harness of end-to-end tests, benchmarks and torture runs, for any cluster
// that can say who its primary is.
//
// Two writers stand where applications do, behind a router on a host of their own: one keeps its session, one opens a session for each commit.
// More sit inside every database host and reach its PostgreSQL past all routers, over the UNIX socket and over TCP, with sessions from before the
// fault, new ones, and a statement in flight: whatever accepts a write anywhere is noticed.
package rig
