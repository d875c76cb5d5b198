// Package demo shows what Quorate does, on one machine and without root: three hosts with all roles, each a process of this program with an address of its own on
// the loopback network, a client that commits all the time through a router, and faults at the press of a key.
//
// The hosts are what they would be anywhere else: `quorate run` and a configuration. They have no hook for faults. Kills and freezes are
// signals to their processes, and a host is cut off in a relay (internal/demo/relay) that stands between the hosts' addresses. Nobody grades
// the outcome by what the hosts say of themselves: an outage is the time between two acknowledged commits, and what was lost is found by looking for each
// acknowledged row in the end.
//
//	address ── where free ones are; config ── what a host is told; host, processes ── the processes of a host and who owns a connection
//	writer, meter ── the client and what it measures; watch, words ── what the hosts say; session ── all of it; act ── the faults
//	screen, lines ── what is shown, with a terminal and without; scenario, summary ── without a person
package demo
