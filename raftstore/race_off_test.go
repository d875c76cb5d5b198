//go:build !race

package raftstore

// raceSlows is by how much the race detector slows the members of a test down.
const raceSlows = 1
