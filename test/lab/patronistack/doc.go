// Package patronistack runs the stack that Quorate replaces on the hosts of a lab: etcd and Patroni on each of three hosts, HAProxy in front. It is the yardstick:
// the same faults, writers and checkers go over both, so that a figure of ours always has its peer from the same machine and day.
//
// The programs are the distribution's packages (etcd-server, patroni, haproxy, postgresql), configured as their manuals suggest.
package patronistack
