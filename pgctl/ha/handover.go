package ha

import (
	"slices"
	"time"

	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// askedToHandOver looks at the failover key. It says whether a handover begins or the key is being cleared.
func (d *decider) askedToHandOver() bool {
	f := d.cluster.Failover
	if f.IsZero() || !d.due(f) {
		return false
	}
	switch {
	case f.Leader != "" && f.Leader != d.s.Self.Name:
		return d.clearFailover("the leader is " + d.s.Self.Name + ", not " + f.Leader)
	case f.Candidate == d.s.Self.Name:
		return d.clearFailover(d.s.Self.Name + " is the leader already")
	}
	to, why := d.successor(f)
	if left := max(d.s.PG.PhaseSince, d.mem.PromotedAt).Add(reattach).Sub(d.s.Now); to == "" && left > 0 && d.anyDetached(f) {
		d.because(CodeLeading, "a switchover is asked for: waiting for the standbys, which have not turned to this primary yet")
		d.within(min(left, 200*time.Millisecond))
		return false
	}
	if to == "" {
		return d.clearFailover(why)
	}
	d.mem.Handover = Handover{Term: d.cluster.Leader.Term, To: to, Reason: switchover, Since: d.s.Now}
	d.handOver()
	return true
}

// Why a lead is handed over, where the text of the decision depends on it.
const (
	switchover = "switchover"
	diskFull   = "no room is left on the disk"
)

// outOfRoom hands the lead of a primary without room for data or WAL over to a member that has some: its commits begin to fail, and when
// the WAL's disk is full it crashes (patroni issues 1732, 2997). Without such a member it goes on.
func (d *decider) outOfRoom() bool {
	if d.s.PG.Disk != dcs.DiskFull {
		return false
	}
	asked := dcs.Failover{Leader: d.s.Self.Name}
	to, _ := d.bestMember(func(m dcs.Member) string {
		if m.Disk != "" {
			return "has little room on its disk"
		}
		return d.unfit(m, asked)
	})
	if to == "" {
		d.because(CodeLeading, "no room is left on the disk, and no member could take over that has more: make space")
		return false
	}
	d.mem.Handover = Handover{Term: d.cluster.Leader.Term, To: to, Reason: diskFull, Since: d.s.Now}
	d.handOver()
	return true
}

// due says whether a scheduled handover's time has come. One whose time passed unnoticed (Patroni: by more than 1.5 loop_wait;
// here by a minute, since a loop may be a second) is cleared.
func (d *decider) due(f dcs.Failover) bool {
	if f.ScheduledAt == "" {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, f.ScheduledAt)
	if err != nil {
		d.clearFailover("its time cannot be read: " + f.ScheduledAt)
		return false
	}
	late := d.s.Wall.Sub(at)
	if late > time.Minute {
		d.clearFailover("Found a stale scheduled switchover, cleaning up")
		return false
	}
	if late < 0 {
		d.within(min(-late, d.s.Set.LoopWait))
		return false
	}
	return true
}

func (d *decider) clearFailover(why string) bool {
	d.because(CodeLeading, "cleared the failover key: %s", why)
	begun := d.commit("clear the failover key: "+why, dcs.Txn{
		If:   d.mine(dcs.Unchanged(d.s.Keys.Failover(), d.cluster.Failover.Mod)),
		Then: []dcs.Op{dcs.Put(d.s.Keys.Failover(), "{}", 0)},
	})
	if begun {
		d.reason.GaveUp = why
	}
	return begun
}

// successor is the member to hand over to: the one that was named, or the one that is ahead of the others.
func (d *decider) successor(f dcs.Failover) (name, why string) {
	name, why = d.bestMember(func(m dcs.Member) string {
		if f.Candidate != "" && f.Candidate != m.Name {
			return "is not the one that was named"
		}
		return d.unfit(m, f)
	})
	if f.Candidate == "" || name != "" {
		return name, why
	}
	m, ok := d.cluster.Member(f.Candidate)
	if !ok {
		return "", "candidate " + f.Candidate + " does not exist"
	}
	return "", m.Name + " " + d.unfit(m, f)
}

// bestMember is the one of which unfit has nothing to say with the highest failover_priority of those that are not behind, and of these the one that
// is ahead; if there is none, why is what it says of the last.
func (d *decider) bestMember(unfit func(dcs.Member) string) (name, why string) {
	why = "no good candidates have been found"
	var fit []dcs.Member
	var end postgres.LSN
	for _, m := range d.cluster.Members {
		if m.Name == d.s.Self.Name {
			continue
		}
		if no := unfit(m); no != "" {
			why = m.Name + " " + no
			continue
		}
		fit, end = append(fit, m), max(end, postgres.LSN(m.XLogLocation))
	}
	var best dcs.Member
	for _, m := range fit {
		if end.Sub(postgres.LSN(m.XLogLocation)) > positionSlack {
			continue
		}
		if p, q := Priority(m.Tags), Priority(best.Tags); name == "" || p > q || p == q && m.XLogLocation > best.XLogLocation {
			name, best = m.Name, m
		}
	}
	return name, why
}

// What is wrong with a member only until it has turned to a new primary, and its key says so.
const (
	notStreaming  = "is not streaming from the leader"
	otherTimeline = "is on another timeline"
)

// unfit says why a member cannot take over in order.
func (d *decider) unfit(m dcs.Member, f dcs.Failover) string {
	attached := false
	for _, s := range d.s.PG.Standbys {
		attached = attached || s.Name == m.Name && s.Streaming
	}
	switch {
	case m.State != "running" || m.Role == "uninitialized":
		return "is not running"
	case MayNotLead(m.Tags):
		return "is not allowed to promote"
	case !attached:
		return notStreaming
	case m.Timeline != 0 && m.Timeline != uint32(d.s.PG.Timeline):
		return otherTimeline
	case d.s.PG.FlushLSN.Sub(postgres.LSN(m.XLogLocation)) > d.s.Set.MaximumLagOnFailover+positionSlack:
		return "lags too much"
	case d.syncEnabled() && f.Leader != "" && !d.cluster.Sync.Has(m.Name):
		return "is not synchronous"
	case m.Disk == dcs.DiskFull && f.Leader != "":
		return "has no room left on its disk"
	}
	return ""
}

// reattach is how long standbys are given to stream again from a primary that has just started, or was promoted: twice wal_retrieve_retry_interval's default.
const reattach = 10 * time.Second

// anyDetached says whether a member lacks nothing for a handover but to have turned to this primary.
func (d *decider) anyDetached(f dcs.Failover) bool {
	return slices.ContainsFunc(d.cluster.Members, func(m dcs.Member) bool {
		no := d.unfit(m, f)
		return m.Name != d.s.Self.Name && (f.Candidate == "" || f.Candidate == m.Name) && (no == notStreaming || no == otherTimeline)
	})
}

// positionSlack makes up for positions in member keys being up to a loop old.
const positionSlack = 64 << 20

// handoverPatience bounds a stop that waits for a standby which has stopped reading.
const handoverPatience = 30 * time.Second

// stopPatience is primary_stop_timeout, which counts in synchronous mode only (Patroni 4.1, Ha.primary_stop_timeout): there a standby has every
// acknowledged commit, whatever the shutdown still wanted to do.
func (d *decider) stopPatience() time.Duration {
	if t := d.s.Set.PrimaryStopTimeout; t > 0 && d.s.Set.SynchronousMode.Enabled() {
		return t
	}
	return handoverPatience
}

// handOver gives the lead to somebody in order: checkpoint, fast shutdown (which ends only when the attached standbys have
// everything, the shutdown checkpoint included), release with the end of the WAL, and no waiting for any lease.
func (d *decider) handOver() {
	p := &d.s.PG
	h := &d.mem.Handover
	d.because(CodeHandover, "%s: demoting myself, handing over to %s", h.Reason, orAny(h.To))
	d.hold = h.Stage >= stageHold
	if d.handsOnReading() {
		return
	}
	d.arm(d.cluster.Leader.Term)
	switch {
	case p.Phase == Stopped && !d.opBusy() && d.crashedInHandover():
		d.abandonHandover()
	case p.Phase == Stopped && !d.opBusy():
		lsn := uint64(0)
		if p.Clean {
			lsn = uint64(p.EndLSN)
		}
		d.releaseTo(*h, lsn)
	case d.opBusy():
		if h.Stage == stageStop && p.Phase != Stopped && d.s.Now.Sub(h.Since) > d.stopPatience() {
			d.do(FenceNow{Why: "the shutdown for a handover does not end"})
		}
	case h.Stage == stageNone:
		if d.do(Checkpoint{}) {
			h.Stage = stageCheckpoint
		}
	case h.Stage == stageCheckpoint:
		h.Stage, h.Since, d.hold = stageHold, d.s.Now, true
		d.s.Mem.Handover = *h // the member key tells it
		d.within(handoverHold)
	case h.Stage == stageHold && d.s.Now.Before(h.Since.Add(handoverHold)):
		d.within(h.Since.Add(handoverHold).Sub(d.s.Now))
	default:
		if d.do(Stop{Mode: "fast", Why: h.Reason, Archive: d.standbyCluster(), Logins: true}) {
			h.Stage, h.Since, d.hold = stageStop, d.s.Now, true
		}
	}
}

// crashedInHandover says whether PostgreSQL has not ended in order, so that the standbys need not have every commit: without
// synchronous replication only this node is sure to have them. One that was fenced opens no more in this term, and one that is to
// stop, or to follow another cluster, does not start again as a primary.
func (d *decider) crashedInHandover() bool {
	again := !d.s.Asked.Stop && !d.standbyCluster() && d.s.Fence.Fired != d.cluster.Leader.Term
	return again && !d.s.PG.Clean && !d.s.Set.SynchronousMode.Enabled()
}

// abandonHandover goes on as after any other crash.
func (d *decider) abandonHandover() {
	if f := d.cluster.Failover; !f.IsZero() {
		d.clearFailover("PostgreSQL has crashed in the shutdown for it")
		return
	}
	d.mem.Handover, d.hold = Handover{}, false
	d.fallen()
}

// handoverHold is for how long the routers let no new client in before PostgreSQL stops: those of other hosts must have heard of it, by the
// member key, and logins that are under way must be through: the stop then waits a moment more for those that are not.
const handoverHold = 100 * time.Millisecond

// handsOver says whether this node's lead is past the point where new clients are let in.
func (s *Snapshot) handsOver() bool {
	return s.Store.Cluster != nil && s.holdsKey() && s.Mem.Handover.Term == s.Store.Cluster.Leader.Term && s.Mem.Handover.Stage >= stageHold
}

// The stages of a handover. While the checkpoint is written the primary serves as before.
const (
	stageNone = iota
	stageCheckpoint
	stageHold
	stageStop
)

func (d *decider) releaseTo(h Handover, lsn uint64) bool {
	k, l := d.s.Keys, d.cluster.Leader
	r := dcs.Released{Term: l.Term, From: d.s.Self.Name, To: h.To, LSN: lsn}
	ops := append([]dcs.Op{dcs.Delete(k.Leader()), dcs.Put(k.Released(), dcs.Encode(r), 0)}, d.fencedAgain()...)
	return d.commit(HandOver+orAny(h.To), dcs.Txn{If: d.mine(), Then: ops})
}

// HandOver begins the What of the commit that gives the lead to a member.
const HandOver = "hand the lead over to "

func orAny(name string) string {
	if name == "" {
		return "any member"
	}
	return name
}
