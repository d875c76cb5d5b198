//go:build bench

// Command bench measures clusters on hosts of their own, network namespaces of this machine, and prints Markdown tables: what scripts/bench runs. Needs root.
//
//	bench failover   seconds without a commit after each fault
//	bench idle       what one host takes while nothing happens
//	bench store      three members of etcd and of the store, on loopback: rates, latencies, memory, starts; needs no root
//
// The method of failover: three hosts with default settings, and a fourth with nothing but a router and two clients, which commit every 10 ms: one keeps its
// session, one opens a session for each commit. A run's figure is the longest time between two acknowledgements of either client, from the fault until the
// broken part is back and follows again. In every other run the store's leader is on the primary's host. With --peer patroni the same goes over etcd,
// Patroni and HAProxy of the distribution, on the same machine in the same run.
package main
