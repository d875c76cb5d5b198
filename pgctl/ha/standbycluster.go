package ha

import (
	"strings"
	"time"

	"quorate/raftstore/dcs"
)

// A standby cluster follows the primary of another one (Patroni's manual, "Standby cluster"). Who holds the leader key streams from
// that remote primary, the others from him. He holds the key by his lease as any leader does, and takes no writes: his fence is
// never armed, so that nothing of his could be opened, and giving the key up needs no stop.

// Remote is a server outside of the cluster, as the setting standby_cluster names it. The zero value is none.
type Remote struct {
	Host    string // may be a comma-separated list
	Port    string // empty: 5432; as many as hosts, or one for all
	Slot    string // replication slot there, "" for none
	Restore string // restore_command
	Cleanup string // archive_cleanup_command
	Delay   string // recovery_min_apply_delay
}

// IsZero says that there is no remote server.
func (r Remote) IsZero() bool { return r == Remote{} }

// standbyCluster says whether the cluster follows a remote primary.
func (d *decider) standbyCluster() bool { return d.s.Set.StandbyCluster != nil }

// syncEnabled says whether the leader to come has to be one of the sync key: in a standby cluster nothing is acknowledged.
func (d *decider) syncEnabled() bool { return d.s.Set.SynchronousMode.Enabled() && !d.standbyCluster() }

// remote is the remote primary as somebody to stream from.
func (d *decider) remote() Upstream {
	sc := d.s.Set.StandbyCluster
	u := Upstream{Name: "the archive", Remote: Remote{
		Host: sc.Host, Port: sc.Port, Slot: sc.PrimarySlotName, Restore: sc.RestoreCommand, Cleanup: sc.ArchiveCleanupCommand, Delay: sc.RecoveryMinApplyDelay,
	}}
	if sc.Host != "" || sc.Port != "" {
		u.Name = "the remote primary " + strings.TrimSuffix(sc.Host+":"+sc.Port, ":")
	}
	if l := d.cluster.Leader; l != nil {
		u.Term = l.Term
	}
	return u
}

// answers says whether there is a remote server to ask, and not only an archive.
func (u Upstream) answers() bool { return u.Remote.Host != "" || u.Remote.Port != "" }

// same says whether o is the same upstream, whatever the term.
func (u Upstream) same(o Upstream) bool {
	return u.Name == o.Name && u.Conn == o.Conn && u.Remote == o.Remote
}

// leadStandby decides while this node holds the leader key of a standby cluster and its PostgreSQL takes no writes.
func (d *decider) leadStandby() {
	t := d.cluster.Leader.Term
	d.mem.StandbyTerm = t
	switch p := &d.s.PG; {
	case d.mem.Promoted == t && p.Phase != Stopped:
		// A promotion was ordered before the cluster became a standby cluster: whether it comes about is not known.
		d.because(CodeDemoting, "demoting self: the cluster became a standby cluster during the promotion")
		d.do(FenceNow{Why: d.reason.Text})
	case d.opBusy():
		d.because(CodeLeading, "updated leader lock during an operation")
	case p.Phase == Stopped:
		d.startFollowing()
	case p.Phase == Starting:
		d.standbyStarting()
	default:
		d.followRemote()
	}
}

func (d *decider) standbyStarting() {
	d.because(CodeLeading, "PostgreSQL is starting as a standby of %s", d.remote().Name)
	d.within(200 * time.Millisecond)
	if d.s.Now.Sub(d.s.PG.PhaseSince) > d.s.Set.PrimaryStartTimeout && d.couldTakeOver() {
		d.because(CodeFailingOver, "stopped PostgreSQL because of startup timeout")
		d.do(Stop{Mode: "immediate", Why: d.reason.Text})
		d.mem.SlowTerm = d.cluster.Leader.Term
	}
}

// startFollowing starts the PostgreSQL of a standby leader. What may have been a primary is compared with the remote one first, if it
// can be asked: a start does no harm, but a rewind afterwards needs a stop.
func (d *decider) startFollowing() {
	p, up := &d.s.PG, d.remote()
	c := p.Checked
	f := p.Failed
	switch {
	case d.mem.SlowTerm == up.Term && d.couldTakeOver():
		d.because(CodeFailingOver, "released the leader key: PostgreSQL was stopped because of startup timeout")
		d.release(dcs.Released{})
	case f.Count >= crashLoop && strings.HasPrefix(f.Action, "start") && d.couldTakeOver():
		d.because(CodeFailingOver, "released the leader key: PostgreSQL does not start: %s", f.Text)
		d.release(dcs.Released{})
	case c.Done && c.Term == up.Term && c.Diverged:
		d.repair(up)
	case d.bootstrapping(), p.Clean && !p.WasPrimary, !up.answers(), c.Term == up.Term && (c.Done || c.Error != ""):
		d.because(CodeRejoining, "starting as a standby leader of %s", up.Name)
		d.tryPG(StartStandby{Upstream: up})
	default:
		d.because(CodeRejoining, "comparing the WAL with %s", up.Name)
		d.do(CheckWAL{Leader: up})
	}
}

// followRemote is the steady state of a standby leader.
func (d *decider) followRemote() {
	p, up := &d.s.PG, d.remote()
	d.because(CodeLeading, "no action. I am (%s), the standby leader with the lock", d.s.Self.Name)
	if silent := d.silence(); silent > hungAfter && d.couldTakeOver() {
		d.because(CodeFailingOver, "released the leader key: PostgreSQL has not answered for %s", silent.Round(time.Second))
		d.release(dcs.Released{})
		return
	}
	switch {
	case d.clusterKeys(), d.askedToHandOver():
	case d.s.Asked.Restart != nil:
		d.because(CodeLeading, "restarting PostgreSQL on request")
		d.do(Restart{ID: d.s.Asked.Restart.ID})
	case !p.Following.same(up):
		d.because(CodeLeading, "following %s", up.Name)
		d.tryPG(Follow{Upstream: up})
	case p.Checked.Done && p.Checked.Term == up.Term && p.Checked.Diverged:
		d.because(CodeRejoining, "this node's WAL left the history of %s at %s: stopping to rewind", up.Name, p.Checked.Fork)
		d.do(Stop{Mode: "fast", Why: "rewind"})
	case !p.Streaming && up.answers():
		d.checkWAL(up)
		d.status()
	case p.Checkpointing && p.Streaming && d.s.Now.Sub(d.mem.PointAt) > pointPause:
		// Its control file still tells the former timeline, by which pg_rewind would go before version 16, and those who rewind from it wait.
		d.mem.PointAt = d.s.Now
		d.do(Checkpoint{})
	default:
		if p.Checkpointing {
			d.within(pointPause)
		}
		d.slots()
		d.status()
	}
}

// pointPause is the time between two restart points that a standby leader is asked for on a new timeline. The first may come before a
// checkpoint of that timeline was replayed.
const pointPause = time.Second

// demotesCluster begins the end of a primary whose cluster is to follow another one: a handover in order, so that everything, the shutdown
// checkpoint included, is where the remote primary and the own standbys get it.
func (d *decider) demotesCluster() bool {
	if !d.standbyCluster() {
		return false
	}
	to, _ := d.successor(dcs.Failover{Leader: d.s.Self.Name})
	d.mem.Handover = Handover{Term: d.cluster.Leader.Term, To: to, Reason: "the cluster becomes a standby cluster", Since: d.s.Now}
	d.handOver()
	d.because(CodeDemoting, "demoting cluster: it is to follow %s", d.remote().Name)
	return true
}

// handsOnReading gives the lead of a standby cluster over. Nothing is stopped for it, since nothing takes writes.
func (d *decider) handsOnReading() bool {
	p := &d.s.PG
	if !d.standbyCluster() || !p.standby() || d.mem.Promoted == d.cluster.Leader.Term {
		return false
	}
	d.releaseTo(d.mem.Handover, uint64(p.FlushLSN))
	return true
}

// syncBeforeOpening makes the sync key that a cluster opens with which has been a standby cluster until now: the transaction that took its
// lead wrote none. It says whether that is still to be done. The names are in effect before PostgreSQL opens, as after any takeover.
func (d *decider) syncBeforeOpening() bool {
	t := d.cluster.Leader.Term
	switch {
	case !d.s.Set.SynchronousMode.Enabled() || d.mem.Promoted == t:
		return false
	case d.mem.SyncInDoubt:
		d.because(CodeWaiting, "released the leader key: whether the sync key was written is not known")
		d.release(dcs.Released{})
		return true
	case d.cluster.Sync.Leader == d.s.Self.Name && (d.mem.StandbyTerm != t || d.mem.SyncTerm == t):
		return false
	}
	d.because(CodePromoting, "synchronous replication: choosing whom the first commits wait for")
	ops, names := d.takeoverSync()
	txn := dcs.Txn{If: d.mine(dcs.Unchanged(d.s.Keys.Sync(), d.cluster.Sync.Mod)), Then: ops}
	if d.commit(SyncChange+"whom the first commits wait for", txn) {
		d.mem.SyncTerm, d.mem.TakeoverNames = t, names
	}
	return true
}

// pausedStandbyLeader goes on reading in a pause, and does what an operator asked for.
func (d *decider) pausedStandbyLeader() {
	d.because(CodePaused, "PAUSE: no action. I am (%s), the standby leader with the lock", d.s.Self.Name)
	switch p := &d.s.PG; {
	case d.opBusy() || d.askedToHandOverPaused():
	case d.s.Asked.Restart != nil:
		d.because(CodePaused, "PAUSE: restarting PostgreSQL on request")
		d.do(Restart{ID: d.s.Asked.Restart.ID})
	case d.standbyCluster() && !p.Following.same(d.remote()):
		d.tryPG(Follow{Upstream: d.remote()}) // what an operator's switchover began
	default:
		d.status()
	}
}

// leadsPausedStandby says whether this node leads a standby cluster, or led it when the pause began: what it holds then is no right to promote.
func (d *decider) leadsPausedStandby() bool {
	return d.s.PG.standby() && d.s.holdsKey() && (d.standbyCluster() || d.mem.StandbyTerm == d.cluster.Leader.Term)
}

// cloneRemote copies from the remote primary: the first member's data, or the data of one that has lost it when nobody else has any.
func (d *decider) cloneRemote(aside bool) {
	d.because(CodeCloning, "trying to clone from %s", d.remote().Name)
	if f := d.s.PG.Failed; f.Action == "clone" && f.Count > 0 {
		d.because(CodeCloning, "trying to clone from %s, which has failed: %s", d.remote().Name, f.Text)
	}
	d.tryPG(Clone{From: d.remote(), Aside: aside})
}

// lastOfStandbyCluster says whether this node must go to the remote primary for its data: no member has any.
func (d *decider) lastOfStandbyCluster() bool {
	if !d.standbyCluster() || d.s.PG.Phase != Stopped || d.s.Lease.ID == 0 {
		return false
	}
	for _, m := range d.cluster.Members {
		if m.Name != d.s.Self.Name && m.Folder != "empty" {
			return false
		}
	}
	return true
}
