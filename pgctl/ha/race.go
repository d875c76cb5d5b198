package ha

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// noLeader decides while there is no leader key.
func (d *decider) noLeader() {
	p := &d.s.PG
	switch {
	case d.cluster.Initialize == "":
		d.bootstrap()
	case p.writable() && d.cluster.Unfenced != nil && d.cluster.Unfenced.Node == d.s.Self.Name:
		d.because(CodeLeading, "the pause is over: taking the lease up again that this primary went on without")
		d.acquire()
	case d.onFailsafe():
		d.because(CodeLeading, "the store is back: taking the lead up again that failsafe mode has kept")
		d.acquire()
	case d.mayWrite():
		d.because(CodeDemoting, "demoting self because the leader key is gone: this node's term has ended")
		d.do(FenceNow{Why: d.reason.Text})
	case d.s.Promised():
		d.keepPromise()
	case d.owesWord():
		d.because(CodeDemoting, "the leader key was deleted: telling the others that this node's term is over")
		d.giveWord()
	case d.opBusy():
		d.because(CodeWaiting, inProgress+"; there is no leader")
		if !d.justHanded() {
			d.ask()
		}
	case p.Folder == FolderBad:
		d.because(CodeWaiting, "the data folder cannot be used: %s", p.Problem)
	case (p.Folder == FolderEmpty || p.Folder == FolderBroken) && d.lastOfStandbyCluster():
		d.cloneRemote(p.Folder == FolderBroken)
	case p.Folder == FolderEmpty && d.s.Set.PostgreSQL.RestoresAlone():
		d.because(CodeCloning, "trying to bootstrap without leader")
		d.tryPG(Clone{})
	case p.Folder == FolderEmpty, p.Folder == FolderBroken:
		d.because(CodeWaiting, "waiting for leader to bootstrap")
	case p.Phase == Stopped:
		d.because(CodeWaiting, "starting as a secondary: there is no leader")
		d.tryPG(StartStandby{})
	case p.Phase == Starting:
		d.because(CodeWaiting, "PostgreSQL is starting; there is no leader")
		d.within(100 * time.Millisecond)
	default:
		d.race()
	}
}

const (
	// handedPatience is how long the member that a lead was handed to comes before all others.
	handedPatience = 2 * time.Second
	// namedPatience is how long the member that an operator named comes before all others.
	namedPatience = 5 * time.Second
	// askAgain is the time between two rounds of asking.
	askAgain = 250 * time.Millisecond
	// coldPatience is how long a node that has seen no leader waits for the hosts that may hold newer data.
	coldPatience = 10 * time.Second
)

// race tries to take the lead, if this node is the one that should.
func (d *decider) race() {
	if d.mem.RaceSince == 0 {
		d.mem.RaceSince = d.s.Now
	}
	d.because(CodeRacing, "there is no leader: looking for the member that is ahead")
	switch {
	case d.notAllowed(), d.oldLeaderMayLive(), d.handedOver():
		return
	}
	d.ask()
	if !d.s.PG.Pledged.Covers(d.lastTerm()) {
		d.do(Pledge{Term: d.lastTerm()})
		return
	}
	if r := d.s.Race; r.Target != d.lastTerm() || !r.Done {
		return
	}
	if v := candidate.Race(d.contest()); !v.Go {
		d.because(CodeRacing, "following a different leader because i am not the healthiest node: %s", v.Reason)
		d.within(askAgain)
		return
	}
	d.acquire()
}

// contest is what the race depends on: this node, what the others answered, and what the store knows.
func (d *decider) contest() candidate.Input {
	c, p, set := d.cluster, &d.s.PG, &d.s.Set
	in := candidate.Input{
		Self: candidate.Member{
			Name: d.s.Self.Name, Reachable: true, Running: p.Phase == Running, Primary: p.writable(), SystemID: p.SystemID, Timeline: p.Timeline,
			Switches: p.Switches, FlushLSN: p.FlushLSN, ReplayLSN: p.ReplayLSN, NoFailover: d.s.Self.NoFailover,
			Priority: d.s.Self.FailoverPriority, Pledged: p.Pledged, CanPledge: true,
			WatchdogFailed: d.s.Self.WatchdogFailed,
		},
		SystemID: cmp.Or(c.Initialize, p.SystemID), LastLeader: d.mem.Leader, Term: d.mem.Term, Target: d.lastTerm(), History: c.History,
		Optime: postgres.LSN(c.Status.Optime), Released: c.Released,
		Mode: d.configuredMode(), Key: syncset.Key{Leader: c.Sync.Leader, Quorum: c.Sync.Quorum, Voters: c.Sync.Standbys}, KeyExists: c.Sync.Mod != 0,
		Settings: candidate.Settings{WatchdogRequired: d.s.Self.WatchdogRequired, MaxLag: set.MaximumLagOnFailover, CheckTimeline: set.CheckTimeline, StandbyCluster: d.standbyCluster()},
		Outage:   d.mem.Term.IsZero(), Patient: d.patient(),
	}
	if d.standbyCluster() {
		in.History = nil // it is this cluster's own, from before it followed another
	}
	if in.Outage && c.Released != nil {
		in.Term = c.Released.Term // it speaks of the last term: whoever takes the lead removes it
	}
	if f := c.Failover; f.ScheduledAt == "" {
		in.Manual = candidate.Manual{Leader: f.Leader, Candidate: f.Candidate}
	}
	if c.Failsafe != nil {
		in.Failsafe = slices.Sorted(maps.Keys(c.Failsafe))
	}
	for _, name := range slices.Sorted(maps.Keys(d.s.Race.Answers)) {
		in.Others = append(in.Others, d.s.Race.Answers[name])
	}
	return in
}

// patient says whether a better candidate, or a host that may hold newer data, may still be waited for.
func (d *decider) patient() bool {
	return d.cold() || d.s.Now.Sub(d.mem.GoneAt) < namedPatience
}

// notAllowed looks at what forbids this node to lead, whoever else is there. It is asked for its pledge all the same.
func (d *decider) notAllowed() bool {
	switch u := d.cluster.Unfenced; {
	case u != nil && u.Node != d.s.Self.Name:
		d.because(CodeWaiting, "%s is in maintenance without a lease and may take writes: nobody is promoted", u.Node)
	case d.hookBackoff() > 0:
		d.within(d.hookBackoff())
		d.because(CodeRacing, "following a different leader because pre_promote failed here a moment ago: %s", d.s.PG.Hook.Text)
	case d.s.Self.NoFailover:
		d.because(CodeRacing, "following a different leader because I am not allowed to promote")
	default:
		return false
	}
	return true
}

// oldLeaderMayLive holds while the last leader still has its lease and has not said that its term is over: somebody deleted the leader
// key by hand, and that primary needs a moment to notice. A lease that ended took both keys. Who has not seen the last leader takes the
// role in a member's key for it.
func (d *decider) oldLeaderMayLive() bool {
	for _, m := range d.cluster.Members {
		led := m.Name == d.mem.Leader && m.Lease == d.mem.Lease && m.IsQuorate() // Patroni's give no word
		if m.Name == d.s.Self.Name || !led && m.Role != "primary" && m.Role != "promoted" {
			continue
		}
		if r := d.cluster.Released; r != nil && r.From == m.Name && (d.mem.Leader != m.Name || r.Term.Covers(d.mem.Term)) {
			continue
		}
		if d.saysItIsOver(m.Name) {
			continue
		}
		d.because(CodeWaiting, "waiting for %s, whose lease lives, to notice that its leader key is gone", m.Name)
		d.within(askAgain)
		d.ask()
		return true
	}
	return false
}

// saysItIsOver says whether a member has answered, in this vacancy, that it runs as a standby and pledges nothing to any term before it: whatever its
// last one was, no commit of it is acknowledged any more. Who has missed a term must not wait for a word that was given before it.
func (d *decider) saysItIsOver(name string) bool {
	a, ok := d.s.Race.Answers[name]
	return ok && d.s.Race.Target == d.lastTerm() && a.Reachable && a.Running && !a.Primary && a.CanPledge && a.Pledged.Covers(d.lastTerm())
}

// owesWord says whether the last term was this process's, and nobody has been told that it is over: the others wait for that while this
// node's lease lives. Nothing of this instance can take writes any more.
func (d *decider) owesWord() bool {
	if r := d.cluster.Released; d.mem.Acquired.IsZero() || d.mem.Acquired != d.mem.Term || r != nil && r.Term.Covers(d.mem.Term) {
		return false
	}
	p := &d.s.PG
	over := p.Phase == Stopped || d.s.Fence.Fired == d.mem.Term || d.knownStandby() && p.SampleAt.After(d.mem.GoneAt)
	return over && !d.opBusy()
}

// giveWord says that the last term is over. The compares make sure that it still is the last one.
func (d *decider) giveWord() {
	k, c := d.s.Keys, d.cluster
	r := dcs.Released{Term: d.mem.Term, From: d.s.Self.Name}
	d.commit("say that the term is over whose leader key was deleted", dcs.Txn{
		If:   []dcs.Compare{dcs.Absent(k.Leader()), dcs.Unchanged(k.Status(), c.Status.Mod), dcs.Unchanged(k.Released(), c.ReleasedRev)},
		Then: []dcs.Op{dcs.Put(k.Released(), dcs.Encode(r), 0)},
	})
}

// handedOver serves the member that the lead was handed to: with all of the old primary's WAL it lacks nothing, and asks nobody.
func (d *decider) handedOver() bool {
	if !d.justHanded() {
		return false
	}
	r := d.cluster.Released
	d.within(20 * time.Millisecond)
	if r.To != d.s.Self.Name {
		d.because(CodeWaiting, "the lead was handed to %s%s", r.To, d.outranks(r.To))
		return true
	}
	d.because(CodeRacing, "the lead was handed to this node")
	if uint64(d.s.PG.FlushLSN) >= r.LSN {
		d.acquire()
	}
	return true
}

// outranks says, in Patroni's words, when it is by its failover_priority that a member comes first.
func (d *decider) outranks(name string) string {
	m, _ := d.cluster.Member(name)
	theirs, own := Priority(m.Tags), int64(d.s.Self.FailoverPriority)
	if theirs <= own {
		return ""
	}
	return fmt.Sprintf(": %s has equally tolerable WAL position and priority %d, while this node has priority %d", name, theirs, own)
}

// justHanded says whether the last term ended by a handover a moment ago.
func (d *decider) justHanded() bool {
	r := d.cluster.Released
	return r != nil && r.To != "" && r.LSN != 0 && (d.mem.Term.IsZero() || r.Term.Covers(d.mem.Term)) &&
		d.s.Now.Sub(d.mem.GoneAt) <= handedPatience
}

// ask asks everybody that could know better. Only those whose lease lives are waited for, except at a cold start, where the
// hosts of the roster may hold newer data.
func (d *decider) ask() {
	r := d.s.Race
	if r.Target == d.lastTerm() && (!r.Done || d.s.Now.Before(r.AskedAt.Add(askAgain))) {
		if r.Done {
			d.within(r.AskedAt.Add(askAgain).Sub(d.s.Now))
		}
		return
	}
	a := AskPeers{Target: d.lastTerm(), From: map[string]string{}}
	for name, url := range d.cluster.Roster {
		a.From[name] = url
	}
	for _, m := range d.cluster.Members {
		if m.Folder == "data" || m.Folder == "" {
			a.From[m.Name] = m.APIURL
			a.Wait = append(a.Wait, m.Name)
		}
	}
	delete(a.From, d.s.Self.Name)
	a.Wait = slices.DeleteFunc(a.Wait, func(n string) bool { return n == d.s.Self.Name })
	if d.cold() {
		a.Wait = a.Wait[:0]
		for n := range a.From {
			a.Wait = append(a.Wait, n)
		}
	}
	slices.Sort(a.Wait)
	d.do(a)
}

// cold says whether this process has never seen a leader: after an outage of all hosts the newest data may be on one that is
// not back yet.
func (d *decider) cold() bool {
	return d.mem.Term.IsZero() && d.s.Now.Sub(d.mem.RaceSince) < coldPatience
}

// acquire takes the leader key: in one transaction with the state of synchronous replication that it was decided on.
func (d *decider) acquire() {
	if !d.s.leaseValid(d.s.timing().Renew) {
		d.because(CodeNoLease, "waiting for a lease to lead with")
		return
	}
	k, c := d.s.Keys, d.cluster
	alone, ok := d.noneUnfenced()
	if !ok {
		return
	}
	listed, ok := d.failsafeLets()
	if !ok {
		return
	}
	// Another term may begin and end between this decision and its arrival, and leave no leader key behind. It leaves another status:
	// every takeover writes that key, so that a race which was won before that term does not count after it.
	t := dcs.Txn{
		If: []dcs.Compare{
			dcs.Absent(k.Leader()), dcs.Unchanged(k.Status(), c.Status.Mod), dcs.Unchanged(k.Sync(), c.Sync.Mod),
			dcs.Unchanged(k.Initialize(), c.InitializeRev), dcs.Unchanged(k.Released(), c.ReleasedRev),
		},
		Then: []dcs.Op{
			dcs.Put(k.Leader(), d.s.Self.Name, d.s.Lease.ID), dcs.Put(k.Status(), dcs.Encode(c.Status), 0),
			dcs.Delete(k.Released()), // it speaks of the last term only: this one may end without a word
		},
	}
	t.If = append(append(t.If, alone...), listed)
	ops, names := d.takeoverSync()
	t.Then = append(t.Then, ops...)
	if ops := d.shortHistory(); ops != nil {
		t.If = append(t.If, dcs.Unchanged(k.History(), c.HistRev))
		t.Then = append(t.Then, ops...)
	}
	if f := c.Failover; !f.IsZero() && (f.ScheduledAt == "" || c.Released != nil && c.Released.From == f.Leader) {
		t.If = append(t.If, dcs.Unchanged(k.Failover(), f.Mod)) // a request that came meanwhile is not lost
		t.Then = append(t.Then, dcs.Put(k.Failover(), "{}", 0))
	}
	d.because(CodeRacing, "acquiring the leader key")
	if d.commit(AcquireLead, t) {
		d.mem.TakeoverNames = names
	}
}

// noneUnfenced says whether no other node may take writes without a lease, with the compares that keep it so.
func (d *decider) noneUnfenced() ([]dcs.Compare, bool) {
	switch u := d.cluster.Unfenced; {
	case u == nil:
		return []dcs.Compare{dcs.Absent(d.s.Keys.Unfenced())}, true
	case u.Node == d.s.Self.Name:
		return nil, true
	default:
		d.because(CodeWaiting, "%s is in maintenance without a lease and may take writes: nobody takes the lead", u.Node)
		return nil, false
	}
}

// AcquireLead is the What of the commit by which this node takes the lead. When it succeeds the executor sets Memory.Acquired to the
// term that it made: the commit's revision.
const AcquireLead = "acquire the lead"
