//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"quorate/test/lab"
	"quorate/test/rig"
)

// ttl is the lease of our defaults, and bound what a cluster may take beyond it where only the lease's end tells that the primary is gone.
const (
	ttl   = 3 * time.Second
	bound = ttl + 500*time.Millisecond
)

// grain is the gap between two commits that a client at a pace of 10 ms does not call an interruption: the method sees no less.
const grain = 100 * time.Millisecond

// scenario is a fault on a kind of cluster, and what its figures are to be.
type scenario struct {
	name   string // as --rows takes it
	title  string
	on     kind
	fault  rig.Fault
	target time.Duration // at most so long without a commit; negative where there is nothing to reach
	// rejoin is the target of a second row: the time from the return of what was struck until it follows. No such row if zero.
	rejoin time.Duration
	watch  bool // nothing need be interrupted: look for a while whether something is
	apart  bool // the store's leader is never on the primary's host
}

// rejoinRow is the name of the row that comes with a scenario that has a rejoin.
const rejoinRow = "rejoin"

var (
	async    = kind{}
	synced   = kind{synchronous: true}
	withDisk = kind{disk: true}
	syncDisk = kind{synchronous: true, disk: true}
)

// scenarios are all that is measured, those of one kind of cluster in sequence. The cluster is the one under measurement whenever a strike asks.
func scenarios(current func() *cluster) ([]scenario, error) {
	known := append(rig.Faults(), rig.FenceFaults()...)
	var errs []error
	named := func(name string) rig.Fault {
		i := slices.IndexFunc(known, func(f rig.Fault) bool { return f.Name == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("the rig knows no fault %q", name))
			return rig.Fault{}
		}
		return known[i]
	}
	list := []scenario{
		{name: "none", title: "no fault: the floor of the method", on: async, fault: noFault(), target: -1, watch: true},
		{name: "switchover", title: "switchover", on: async, fault: named("switchover"), target: 500 * time.Millisecond},
		{name: "postmaster", title: "postmaster killed, asynchronous", on: async, fault: named("postmaster killed"), target: 800 * time.Millisecond},
		{name: "agent-restart", title: "agent killed, started again within 1 s", on: async, watch: true, fault: named("agent killed and back within a second")},
		{name: "agent-killed", title: "agent killed for good", on: async, fault: named("agent killed"), target: bound},
		{name: "agent-frozen", title: "agent frozen for good", on: async, fault: named("agent frozen"), target: bound},
		{name: "host-lost", title: "host lost", on: async, fault: named("host lost"), target: bound, rejoin: 5 * time.Second},
		{name: "cut", title: "network cut", on: async, fault: named("primary cut off"), target: bound},
		{name: "postmaster-frozen", title: "postmaster frozen", on: async, fault: named("postmaster frozen"), target: 10 * time.Second},
		{name: "raft-leader", title: "store's leader lost, on another host", on: async, watch: true, apart: true, fault: storeLeaderLost(current)},
		{name: "postmaster-sync", title: "postmaster killed, synchronous", on: synced, fault: named("postmaster killed"), target: 800 * time.Millisecond},
		{name: "sync-standby", title: "synchronous standby lost", on: synced, fault: named("replica lost"), target: bound},
		{name: "disk", title: "disk under the data folder hangs", on: withDisk, fault: rig.DiskHangs(), target: 10 * time.Second},
		{name: "postmaster-wal-async", title: "postmaster killed with 1 GB of WAL since the checkpoint, asynchronous", on: withDisk, target: 2 * time.Second,
			fault: withWAL(named("postmaster killed"), current, 1024)},
		{name: "postmaster-wal", title: "postmaster killed with 1 GB of WAL since the checkpoint, synchronous", on: syncDisk, target: 2 * time.Second,
			fault: withWAL(named("postmaster killed"), current, 1024)},
	}
	return list, errors.Join(errs...)
}

// choose picks scenarios by name, all if no names are given.
func choose(all []scenario, names []string) ([]scenario, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []scenario
	for _, s := range all {
		if slices.Contains(names, s.name) || s.rejoin > 0 && slices.Contains(names, rejoinRow) {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		if name != rejoinRow && !slices.ContainsFunc(all, func(s scenario) bool { return s.name == name }) {
			return nil, fmt.Errorf("no row is named %q; there are %s", name, rowNames(all))
		}
	}
	return chosen, nil
}

func rowNames(all []scenario) string {
	text := rejoinRow
	for _, s := range all {
		text += ", " + s.name
	}
	return text
}

func noFault() rig.Fault {
	return rig.Fault{Name: "none", Terms: rig.NoFailover, Strike: func(context.Context, rig.Scene) error { return nil }}
}

// storeLeaderLost takes the power from the host of the store's leader, which must not be the primary's.
func storeLeaderLost(current func() *cluster) rig.Fault {
	var struck *lab.Host
	return rig.Fault{
		Name: "store leader lost", Terms: rig.NoFailover,
		Strike: func(ctx context.Context, s rig.Scene) error {
			_, struck = current().storeMembers(ctx)
			if struck == nil || struck == s.Primary {
				return errors.New("the store's leader is not on a host of its own")
			}
			return struck.PowerOff()
		},
		Mend: func(_ context.Context, s rig.Scene) error {
			return errors.Join(struck.PowerOn(), s.Cluster.StartHost(struck))
		},
	}
}
