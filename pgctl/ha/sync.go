package ha

import (
	"slices"
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// syncState is what the planning of synchronous replication looks at.
func (d *decider) syncState() syncset.State {
	c := d.cluster
	st := syncset.State{
		Strict: d.s.Set.SynchronousModeStrict, NodeCount: d.s.Set.SynchronousNodeCount, MaxLag: d.s.Set.MaximumLagOnSyncnode,
		Leader: d.s.Self.Name, InEffect: d.s.PG.Names, Asked: d.s.PG.NamesAsked, Since: d.s.PG.NamesSince,
		Configured: d.configuredNames(), KeyInDoubt: d.mem.SyncInDoubt,
		Key: syncset.Key{Leader: c.Sync.Leader, Quorum: c.Sync.Quorum, Voters: c.Sync.Standbys}, KeyExists: c.Sync.Mod != 0,
	}
	st.Mode, st.Standbys = d.syncMode(), d.standbys()
	return st
}

// syncMode is what this leader's commits do: a standby cluster has none of its own.
func (d *decider) syncMode() syncset.Mode {
	if d.standbyCluster() {
		return syncset.Off
	}
	return d.configuredMode()
}

func (d *decider) configuredMode() syncset.Mode {
	switch d.s.Set.SynchronousMode {
	case dynamic.SyncOn:
		return syncset.On
	case dynamic.SyncQuorum:
		return syncset.Quorum
	}
	return syncset.Off
}

// standbys are all members that could be synchronous, attached or not, and every further walsender that goes by a member's
// name: of two with one name neither can be relied on.
func (d *decider) standbys() []syncset.Standby {
	var out []syncset.Standby
	rows := slices.Clone(d.s.PG.Standbys)
	for _, m := range d.cluster.Members {
		if m.Name == d.s.Self.Name {
			continue
		}
		sb := syncset.Standby{Name: m.Name}
		if i := slices.IndexFunc(rows, func(x syncset.Standby) bool { return x.Name == m.Name }); i >= 0 {
			sb = rows[i]
			rows = slices.Delete(rows, i, i+1)
		}
		sb.Alive, sb.SyncPriority = true, d.syncPriority(m)
		sb.Quiet, sb.GivenUp = d.absent(m.Name, d.s.Set.TTL/quietAfter), d.absent(m.Name, brokenAfter*d.s.Set.TTL)
		if lag := d.s.PG.FlushLSN.Sub(d.confirmed(sb)); lag > 0 {
			sb.Lag = uint64(lag)
		}
		out = append(out, sb)
	}
	for _, r := range rows {
		if slices.ContainsFunc(d.cluster.Members, func(m dcs.Member) bool { return strings.EqualFold(m.Name, r.Name) }) {
			out = append(out, r)
		}
	}
	return out
}

// confirmed is how far a standby lets commits go: with remote_apply one whose replay is held up holds them up, too (Patroni's maximum_lag_on_syncnode
// looks at the same position).
func (d *decider) confirmed(sb syncset.Standby) postgres.LSN {
	if d.s.Set.PostgreSQL.Parameters["synchronous_commit"] == "remote_apply" {
		return min(sb.FlushLSN, sb.ReplayLSN)
	}
	return sb.FlushLSN
}

// brokenAfter is for how many ttls a member that is alive may fail to stream before commits stop waiting for it.
const brokenAfter = 4

// quietAfter is the part of a ttl for which commits wait for a synchronous standby that is alive and does not stream, while another one streams: a
// walreceiver that is started anew is back sooner.
const quietAfter = 3

// noteAbsent keeps since when each member has not streamed.
func (d *decider) noteAbsent() {
	absent := map[string]boottime.Instant{}
	for _, m := range d.cluster.Members {
		if m.Name == d.s.Self.Name || slices.ContainsFunc(d.s.PG.Standbys, func(x syncset.Standby) bool { return x.Name == m.Name && x.Streaming }) {
			continue
		}
		since, ok := d.mem.Absent[m.Name]
		if !ok {
			since = d.s.Now
		}
		absent[m.Name] = since
	}
	d.mem.Absent = absent
}

// absent says whether a member has not streamed for longer than that.
func (d *decider) absent(name string, than time.Duration) bool {
	since, ok := d.mem.Absent[name]
	return ok && d.s.Now.Sub(since) > than
}

// configuredNames is what the user wrote, which holds while synchronous_mode is off.
func (d *decider) configuredNames() postgres.SyncNames {
	n, err := postgres.ParseSyncNames(d.s.Set.PostgreSQL.Parameters["synchronous_standby_names"])
	if err != nil {
		return postgres.SyncNames{}
	}
	return n
}

// syncPriority orders those that may be synchronous; 0 keeps a member from it: nosync, and where that is not written a sync_priority of zero or less
// (one that nosync: false overrules comes last). Who does not stream from the leader cannot be.
func (d *decider) syncPriority(m dcs.Member) int {
	v, err := dynamic.Int(m.Tags["sync_priority"])
	if err != nil {
		v = 1
	}
	no, err := dynamic.Bool(m.Tags["nosync"])
	if err != nil {
		no = v <= 0
	}
	if no || d.cascades(m) {
		return 0
	}
	return 1 + max(0, int(v))
}

// synchronous takes the one next safe step of synchronous replication.
func (d *decider) synchronous() {
	d.noteAbsent()
	// One step at a time: while a change of the key is on its way neither it nor the names are what they seem.
	if d.opBusy() || d.s.Busy[LaneCommit] || d.cluster.Revision < d.s.Store.OwnRev {
		return
	}
	step, why := syncset.Next(d.syncState())
	k := d.s.Keys
	switch a := step.(type) {
	case syncset.SetNames:
		d.because(CodeLeading, "synchronous replication: %s", why)
		d.tryPG(SetNames{Names: a.Names})
	case syncset.WriteKey:
		d.because(CodeLeading, "synchronous replication: %s", why)
		v := dcs.Sync{Leader: a.Key.Leader, Quorum: a.Key.Quorum, Standbys: a.Key.Voters}
		d.commit(SyncChange+why, dcs.Txn{
			If: d.mine(dcs.Unchanged(k.Sync(), d.cluster.Sync.Mod)), Then: []dcs.Op{dcs.Put(k.Sync(), v.Encode(), 0)},
		})
	case syncset.Wait:
		d.within(200 * time.Millisecond)
	case syncset.DeleteKey:
		d.commit(SyncChange+why, dcs.Txn{
			If: d.mine(dcs.Unchanged(k.Sync(), d.cluster.Sync.Mod)), Then: []dcs.Op{dcs.Delete(k.Sync())},
		})
	}
}

// SyncChange begins the What of every commit that writes the sync key, but for AcquireLead. When the outcome of one of them is not
// known the executor sets Memory.SyncInDoubt, until a later one is known to have been decided.
const SyncChange = "synchronous replication: "

// takeoverSync plans with whom a new primary begins to be synchronous: the names are in effect before it opens, and the key
// goes into the transaction that takes the lead. Whose PostgreSQL is down now cannot confirm the first commits. The names are remembered
// only if that very transaction is sent: one that is under way may have been planned from another view.
func (d *decider) takeoverSync() ([]dcs.Op, postgres.SyncNames) {
	st := d.syncState()
	for i := range st.Standbys {
		m, _ := d.cluster.Member(st.Standbys[i].Name)
		st.Standbys[i].Alive = m.State == "running" && m.Role == "replica"
	}
	plan, _ := syncset.InitialNames(st)
	switch key := d.s.Keys.Sync(); {
	case plan.Key != nil:
		v := dcs.Sync{Leader: plan.Key.Leader, Quorum: plan.Key.Quorum, Standbys: plan.Key.Voters}
		return []dcs.Op{dcs.Put(key, v.Encode(), 0)}, plan.Names
	case d.cluster.Sync.Mod != 0:
		return []dcs.Op{dcs.Delete(key)}, plan.Names
	}
	return nil, plan.Names
}
