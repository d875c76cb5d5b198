package ha

import (
	"time"

	"quorate/raftstore/dcs"
)

// upstream is the leader as somebody to stream from.
func (d *decider) upstream() Upstream {
	l := d.cluster.Leader
	m, _ := d.cluster.Member(l.Name)
	return Upstream{Name: l.Name, Conn: m.ConnURL, Term: l.Term}
}

// follow decides while another node leads.
func (d *decider) follow() {
	l := d.cluster.Leader
	p := &d.s.PG
	switch {
	case d.mayWrite():
		d.because(CodeDemoting, "demoting self because %s has the leader key", l.Name)
		d.do(FenceNow{Why: d.reason.Text})
	case d.opBusy():
		d.because(CodeRejoining, inProgress+"; the leader is %s", l.Name)
	case p.Folder == FolderBad:
		d.because(CodeWaiting, "the data folder cannot be used: %s", p.Problem)
	case p.Folder == FolderEmpty:
		d.clone(false)
	case p.Folder == FolderBroken && p.Phase == Stopped:
		d.clone(true)
	case d.s.Asked.Reinit != nil:
		d.reinit()
	case p.Phase == Running:
		d.stream()
	case p.Phase == Starting:
		d.because(CodeFollowing, "PostgreSQL is starting as a standby of %s", l.Name)
		d.within(200 * time.Millisecond)
	default:
		d.rejoin()
	}
}

// mayWrite says whether PostgreSQL takes writes, or is starting to: the fence holds a deadline only for a postmaster that may.
func (d *decider) mayWrite() bool {
	p, f := &d.s.PG, &d.s.Fence
	return p.writable() || p.Phase == Starting && f.Connected && (f.Deadline != 0 || f.Unfenced)
}

// clone copies the data folder from the leader, or from a running member that is tagged for it.
func (d *decider) clone(aside bool) {
	from := d.upstream()
	for _, m := range d.cluster.Members {
		if tagTrue(m.Tags, "clonefrom") && m.Name != d.s.Self.Name && m.State == "running" && m.Name != from.Name {
			from = Upstream{Name: m.Name, Conn: m.ConnURL, Term: from.Term}
			break
		}
	}
	m, ok := d.cluster.Member(from.Name)
	if !ok || m.State != "running" || m.Role == "replica" && from.Name == d.cluster.Leader.Name || d.cluster.Initialize == "" {
		d.because(CodeWaiting, "waiting for %s to open before cloning from it", from.Name)
		return
	}
	d.because(CodeCloning, "trying to bootstrap from leader '%s'", from.Name)
	d.tryPG(Clone{From: from, Aside: aside})
}

func (d *decider) reinit() {
	if !d.leftSync() {
		return
	}
	if d.s.PG.Phase != Stopped {
		d.because(CodeRejoining, "stopping PostgreSQL to copy the data folder anew")
		d.do(Stop{Mode: "fast", Why: "reinitialize"})
		return
	}
	d.clone(true)
}

// stream keeps a running standby attached to the leader, and finds out when it cannot be.
func (d *decider) stream() {
	l, p := d.cluster.Leader, &d.s.PG
	up, src := d.upstream(), d.source()
	d.because(CodeFollowing, "no action. I am (%s), a secondary, and following a leader (%s)", d.s.Self.Name, l.Name)
	switch {
	case d.s.Asked.Restart != nil && !d.leftSync():
	case d.s.Asked.Restart != nil:
		d.do(Restart{ID: d.s.Asked.Restart.ID})
	case up.Conn == "" || p.Pledged.Covers(l.Term):
		d.because(CodeWaiting, "waiting for %s to tell where it can be reached", l.Name)
	case p.Following != src:
		if src.Name != up.Name {
			d.because(CodeFollowing, "following %s in place of the leader %s", orNobody(src.Name), l.Name)
		} else {
			d.because(CodeFollowing, "following new leader %s", l.Name)
		}
		d.tryPG(Follow{Upstream: src})
	case p.Checked.Done && p.Checked.Term == l.Term && p.Checked.Diverged:
		d.because(CodeRejoining, "this node's WAL left the leader's history at %s: stopping to rewind", p.Checked.Fork)
		d.do(Stop{Mode: "fast", Why: "rewind"})
	case !p.Streaming:
		d.checkWAL(up)
	case len(d.missingLogical()) > 0 && !d.leftSync():
	case len(d.missingLogical()) > 0:
		d.because(CodeFollowing, "stopping for a moment to copy the logical slots %v of %s", d.missingLogical(), l.Name)
		d.tryPG(CopySlots{Names: d.missingLogical(), Leader: up, Upstream: src})
	default:
		d.slots()
	}
}

// checkPause is the time between two comparisons that could not be made.
const checkPause = 300 * time.Millisecond

// checkWAL compares with the leader, once for each of its terms, when it can answer. It says whether the answer is there.
func (d *decider) checkWAL(up Upstream) bool {
	c := d.s.PG.Checked
	if c.Done && c.Term == up.Term {
		return true
	}
	if left := c.At.Add(checkPause).Sub(d.s.Now); left > 0 {
		d.within(left)
		return false
	}
	if m, ok := d.cluster.Member(up.Name); up.Remote.IsZero() && (!ok || m.Role != "primary" && m.Role != "standby_leader") {
		return false
	}
	d.do(CheckWAL{Leader: up})
	return false
}

// rejoin brings back a node whose PostgreSQL is down. A folder that was a primary's, or that has not come to rest, is compared
// with the leader before it is started.
func (d *decider) rejoin() {
	p, up := &d.s.PG, d.upstream()
	d.because(CodeRejoining, "starting as a secondary of %s", up.Name)
	if up.Conn == "" {
		return
	}
	if !d.checkWAL(up) {
		if p.Clean && !p.WasPrimary {
			d.tryPG(StartStandby{Upstream: d.source()}) // a standby that was stopped in order may start before it knows
			return
		}
		d.because(CodeRejoining, "waiting to compare the WAL with %s", up.Name)
		d.within(checkPause)
		return
	}
	if !p.Checked.Diverged {
		d.tryPG(StartStandby{Upstream: d.source()})
		return
	}
	d.repair(up)
}

// repair takes a diverged folder back: by rewind, else by a new copy while the old folder is kept.
func (d *decider) repair(up Upstream) {
	p := &d.s.PG
	if m, ok := d.cluster.Member(up.Name); ok && m.CheckpointAfterProm != nil && !*m.CheckpointAfterProm {
		d.because(CodeRejoining, "waiting for the checkpoint of %s before the rewind", up.Name)
		return
	}
	if d.s.Set.PostgreSQL.UsePgRewind && !(p.Failed.Action == "rewind" && p.Failed.Count >= rewindTries) {
		d.because(CodeRejoining, "running pg_rewind from %s: the WAL forked at %s", up.Name, p.Checked.Fork)
		d.tryPG(Rewind{Leader: up, Fork: p.Checked.Fork})
		return
	}
	if !up.Remote.IsZero() {
		d.cloneRemote(true)
		return
	}
	d.clone(true)
}

// rewindTries is how often a rewind is tried before the folder is copied anew.
const rewindTries = 2

// lastTerm is the newest term that can be over: the one before the revision in which no leader key was there.
func (d *decider) lastTerm() dcs.Term {
	return dcs.Term{Cluster: d.cluster.ClusterID, Rev: d.mem.GoneRev}
}
