package ha

import (
	"time"

	"quorate/raftstore/dcs"
)

// upkeep is what every situation needs: the lease and the member key.
func (d *decider) upkeep() {
	d.keepLease()
	if d.cluster != nil && d.s.Lease.ID != 0 && !d.left() {
		d.keepMember()
	}
}

// left says whether this node has taken its member key away to end: it is not to come back.
func (d *decider) left() bool { return d.s.Asked.Stop && !d.hasMemberKey() }

// keepLease makes the lease and renews it. While the node is being stopped it is left to end.
func (d *decider) keepLease() {
	t := d.s.timing()
	if d.s.Lease.ID == 0 {
		if d.cluster != nil && !d.s.Asked.Stop {
			d.do(GrantLease{TTL: d.s.Set.TTL})
		}
		return
	}
	if !d.mayRenew() {
		return
	}
	every := t.RenewMember
	if d.s.holdsAnyKey() {
		every = t.Renew
	}
	due := max(d.s.Lease.Tried, d.s.Lease.Sent).Add(every)
	if d.s.Now.Before(due) {
		d.within(due.Sub(d.s.Now))
		return
	}
	if d.do(RenewLease{ID: d.s.Lease.ID}) {
		d.within(every)
	}
}

// mayRenew says whether the lease deserves to live on. A primary that has been hung for longer than it may loses it, so that
// another can take over even if everything here is stuck.
func (d *decider) mayRenew() bool {
	return !(d.fenced && d.s.holdsAnyKey())
}

func (s *Snapshot) holdsAnyKey() bool { return s.Store.Cluster != nil && s.holdsKey() }

// keepMember writes the member key: at once when something that others act on has changed, and once a loop when only the
// positions have.
func (d *decider) keepMember() {
	want := d.member()
	have, ok := d.cluster.Member(d.s.Self.Name)
	same, positions := ok && have.Lease == d.s.Lease.ID, false
	if same {
		same, positions = sameMember(want, have)
	}
	if same && positions {
		return
	}
	if due := d.mem.MemberAt.Add(d.s.Set.LoopWait); same && d.s.Now.Before(due) {
		d.within(due.Sub(d.s.Now))
		return
	}
	txn := dcs.Txn{Then: []dcs.Op{dcs.Put(d.s.Keys.Member(d.s.Self.Name), dcs.Encode(want), d.s.Lease.ID)}}
	if d.do(Commit{In: LaneMember, What: "member", Txn: txn}) {
		d.mem.MemberAt = d.s.Now
	}
}

// sameMember compares what others act on, and apart from it the positions.
func sameMember(a, b dcs.Member) (same, positions bool) {
	positions = a.XLogLocation == b.XLogLocation && a.ReplayLSN == b.ReplayLSN && a.ReceiveLSN == b.ReceiveLSN
	for _, m := range []*dcs.Member{&a, &b} {
		m.Lease, m.Mod, m.Name = 0, 0, ""
		m.XLogLocation, m.ReplayLSN, m.ReceiveLSN = 0, 0, 0
	}
	return dcs.Encode(a) == dcs.Encode(b), positions
}

// member is what this node tells of itself.
func (d *decider) member() dcs.Member {
	p := &d.s.PG
	m := dcs.Member{
		ConnURL: d.s.Self.ConnURL, APIURL: d.s.Self.APIURL, ProxyURL: d.s.Self.ProxyURL, Version: d.s.Self.Version, Tags: d.tags(),
		State: StateText(&d.s), Role: RoleText(&d.s), SystemID: p.SystemID, Folder: folderText(p.Folder), Disk: p.Disk, Pause: PauseHolds(&d.s),
		PendingRestart: p.PendingRestart, PendingRestartReason: p.PendingRestartReason, ScheduledRestart: d.s.Self.ScheduledRestart,
	}
	if p.Phase == Running {
		m.Timeline, m.XLogLocation = uint32(p.Timeline), int64(p.FlushLSN)
		if p.InRecovery {
			m.ReplicationState = p.ReplState
			if p.Streaming {
				m.FollowingTerm = p.Following.Term.Rev
			}
			if p.Checkpointing && m.Role == "standby_leader" {
				no := false
				m.CheckpointAfterProm = &no
			}
			m.XLogLocation = int64(max(p.FlushLSN, p.ReplayLSN))
			m.ReceiveLSN, m.ReplayLSN = int64(p.FlushLSN), int64(p.ReplayLSN)
		} else if p.Checkpointing {
			no := false
			m.CheckpointAfterProm = &no
		}
	} else if p.Folder == FolderData && p.Clean && !p.Copying {
		m.Timeline, m.XLogLocation = uint32(p.Timeline), int64(p.EndLSN)
	}
	return m
}

// PauseHolds says whether the pause is in effect here, which operators wait for before they stop what they like: for a primary that is when its fence
// has no deadline any more.
func PauseHolds(s *Snapshot) bool {
	return s.Set.Pause && !(s.PG.writable() && s.holdsAnyKey() && !s.Fence.Unfenced)
}

func folderText(f Folder) string {
	switch f {
	case FolderData:
		return "data"
	case FolderEmpty:
		return "empty"
	}
	return "unknown"
}

// StateText is PostgreSQL's state in Patroni's words.
func StateText(s *Snapshot) string {
	switch s.PG.Phase {
	case Running:
		if s.handsOver() {
			return "stopping"
		}
		return "running"
	case Starting:
		return "starting"
	}
	switch {
	case s.PG.Copying, s.PG.Folder == FolderEmpty && s.Busy[LanePG] && s.Store.Cluster != nil && s.Store.Cluster.LeaderName() != "":
		return "creating replica"
	case s.PG.Folder == FolderEmpty && s.Busy[LanePG]:
		return "initializing new cluster"
	case s.Set.Pause && s.PG.Folder == FolderData:
		return "stopped" // by whoever works on it; nothing is started here
	case s.PG.Failed.Count > 0 && s.PG.Failed.Action == "start":
		return "start failed"
	case s.PG.Crashes > 0 && !s.PG.Clean:
		return "crashed"
	}
	return "stopped"
}

// RoleText is the node's role in Patroni's words.
func RoleText(s *Snapshot) string {
	switch {
	case s.PG.writable():
		return "primary"
	case s.PG.Folder != FolderData:
		return "uninitialized"
	case s.Set.StandbyCluster != nil && s.PG.InRecovery && s.Store.Cluster != nil && s.holdsKey():
		return "standby_leader"
	case s.Store.Cluster != nil && s.holdsKey() && s.Mem.Promoted == s.Store.Cluster.Leader.Term && s.PG.Phase == Running:
		return "promoted"
	}
	return "replica"
}

// hungAfter is how long PostgreSQL may leave the monitor without an answer before a primary counts as hung.
const hungAfter = 6 * time.Second
