// Package doctor says what is wrong with a host and its cluster, and what to do about it, in the order of danger.
//
//	gather (the edges: disks, clocks, /proc, members, PostgreSQL) ──> Facts ──> Diagnose ──> Report
//
// This package is pure: Facts are values, a rule is a function from Facts to findings. A fact that could not be had is never taken for a
// good one: its rule says that it did not look, and why.
package doctor
