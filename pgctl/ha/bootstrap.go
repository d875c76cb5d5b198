package ha

import (
	"slices"
	"strings"
	"time"

	"quorate/raftstore/dcs"
)

// bootstrapping says whether this node is the one that makes the new cluster.
func (d *decider) bootstrapping() bool {
	return d.cluster.Initialize == "" && d.cluster.InitializeRev != 0 && d.cluster.InitializeLease == d.s.Lease.ID && d.s.Lease.ID != 0
}

// bootstrap decides while there is no cluster yet. Nobody leads before every expected data host has shown what it holds: a
// host with data must never be overtaken by an empty one.
func (d *decider) bootstrap() {
	d.within(200 * time.Millisecond)
	switch {
	case d.bootstrapping():
		d.makeCluster()
	case d.cluster.InitializeRev != 0:
		d.because(CodeBootstrap, "waiting for another member to bootstrap the cluster")
	case len(d.notShown()) > 0:
		d.because(CodeBootstrap, "%s", d.waitingForShown())
	case d.s.Store.ExpectMore:
		d.because(CodeBootstrap, "waiting for the other hosts to be found")
	default:
		d.found()
	}
}

// notShown are the expected data hosts without a member key.
func (d *decider) notShown() []string {
	var out []string
	for _, n := range d.s.Store.Expected {
		if m, ok := d.cluster.Member(n); !ok || m.Folder == "unknown" {
			out = append(out, n)
		}
	}
	return out
}

// waitingForShown says whose member key is still missing: the others', and without them only this node's own.
func (d *decider) waitingForShown() string {
	others := slices.DeleteFunc(d.notShown(), func(n string) bool { return n == d.s.Self.Name })
	switch len(others) {
	case 0:
		return "about to show the others what this data folder holds"
	case 1:
		return "waiting for " + others[0] + " to show what its data folder holds"
	}
	return "waiting for " + strings.Join(others, ", ") + " to show what their data folders hold"
}

// found starts a new cluster, or takes up the one that the data folders hold.
func (d *decider) found() {
	holders := d.holders()
	if len(holders) > 0 {
		d.adopt(holders)
		return
	}
	switch {
	case d.s.PG.Folder != FolderEmpty || d.s.Lease.ID == 0:
		d.because(CodeBootstrap, "waiting to be able to bootstrap: %s", d.s.PG.Problem)
	case d.s.Self.NoFailover || !d.s.Self.CanBootstrap:
		d.because(CodeBootstrap, "waiting for another member to bootstrap the cluster: this one may not")
	default:
		d.because(CodeBootstrap, "trying to bootstrap a new cluster")
		k := d.s.Keys
		d.commit("win the initialize key", dcs.Txn{
			If:   []dcs.Compare{dcs.Absent(k.Initialize()), dcs.Absent(k.Leader())},
			Then: []dcs.Op{dcs.Put(k.Initialize(), "", d.s.Lease.ID)},
		})
	}
}

// holders are the members that hold data.
func (d *decider) holders() []dcs.Member {
	return slices.DeleteFunc(slices.Clone(d.cluster.Members), func(m dcs.Member) bool { return m.Folder != "data" })
}

// adopt takes up data that was there before the store. All holders must be of one cluster. A running primary goes on; without
// one the holders start as standbys and the one that is ahead leads.
func (d *decider) adopt(holders []dcs.Member) {
	p := &d.s.PG
	if ids := systemIDs(holders); len(ids) > 1 {
		d.because(CodeWaiting, "the data folders are of different clusters (%s): an operator must empty those that do not belong here", strings.Join(ids, ", "))
		return
	}
	if p.Folder != FolderData {
		d.because(CodeBootstrap, "waiting for the members that hold data to find their leader")
		return
	}
	switch primaries := slices.DeleteFunc(slices.Clone(holders), func(m dcs.Member) bool { return m.Role != "primary" }); {
	case len(primaries) > 1:
		d.because(CodeWaiting, "more than one member runs as a primary: an operator must stop all but the right one")
	case p.writable():
		d.because(CodeBootstrap, "taking up the running primary")
		d.takeUp()
	case len(primaries) == 1:
		d.because(CodeBootstrap, "waiting for %s, which runs as a primary", primaries[0].Name)
	case d.opBusy():
		d.because(CodeBootstrap, inProgress)
	case p.Phase == Stopped:
		d.because(CodeBootstrap, "starting to find out how far this folder's data goes")
		d.tryPG(StartStandby{})
	case p.Phase == Running:
		d.race()
	default:
		d.because(CodeBootstrap, "PostgreSQL is starting; there is no leader yet")
	}
}

func systemIDs(ms []dcs.Member) []string {
	var ids []string
	for _, m := range ms {
		if m.SystemID != "" && !slices.Contains(ids, m.SystemID) {
			ids = append(ids, m.SystemID)
		}
	}
	return ids
}

// takeUp makes a primary that was running before its agent the leader.
func (d *decider) takeUp() {
	if !d.s.leaseValid(d.s.timing().Renew) {
		return
	}
	alone, ok := d.noneUnfenced()
	if !ok {
		return
	}
	listed, ok := d.failsafeLets()
	if !ok {
		return
	}
	k := d.s.Keys
	d.commit(AcquireLead, dcs.Txn{
		If:   append(alone, listed, dcs.Absent(k.Leader()), dcs.Absent(k.Initialize())),
		Then: []dcs.Op{dcs.Put(k.Leader(), d.s.Self.Name, d.s.Lease.ID), dcs.Put(k.Initialize(), d.s.PG.SystemID, 0)},
	})
}

// makeCluster goes from an empty folder to the leader key; lead starts PostgreSQL then.
func (d *decider) makeCluster() {
	p := &d.s.PG
	d.because(CodeBootstrap, "bootstrapping a new cluster")
	switch {
	case d.opBusy():
	case p.Failed.Action == "initdb" && p.Failed.Count > 0:
		d.because(CodeBootstrap, "removing initialize key after failed attempt to bootstrap the cluster: %s", p.Failed.Text)
		d.commit("give the initialize key back", dcs.Txn{
			If:   []dcs.Compare{dcs.Unchanged(d.s.Keys.Initialize(), d.cluster.InitializeRev)},
			Then: []dcs.Op{dcs.Delete(d.s.Keys.Initialize())},
		})
		d.do(Exit{Code: 1, Why: "the cluster could not be initialized: " + p.Failed.Text})
	case p.Folder == FolderEmpty && d.standbyCluster():
		d.cloneRemote(false)
	case p.Folder == FolderEmpty:
		d.do(Initdb{})
	case p.Folder == FolderData:
		d.acquire()
	}
}
