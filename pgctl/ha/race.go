package ha

import (
	"maps"
	"slices"
	"time"

	"quorate/pgctl/ha/syncset"
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
	case d.mayWrite():
		d.because(CodeDemoting, "demoting self because the leader key is gone: this node's term has ended")
		d.do(FenceNow{Why: d.reason.Text})
	case d.opBusy():
		d.because(CodeWaiting, "an operation is in progress; there is no leader")
		if !d.justHanded() {
			d.ask()
		}
	case p.Folder == FolderBad:
		d.because(CodeWaiting, "the data folder cannot be used: %s", p.Problem)
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
	if who, why := d.ahead(); why != "" {
		d.because(CodeRacing, "following a different leader because i am not the healthiest node: %s %s", who, why)
		d.within(askAgain)
		return
	}
	if ok, why := d.electable(); !ok {
		d.because(CodeRacing, "following a different leader because i may lack acknowledged commits: %s", why)
		d.within(askAgain)
		return
	}
	d.acquire()
}

// electable asks the sync key whether this node, with those that have pledged, holds every acknowledged commit. An operator who
// names a candidate without naming a leader (failover) takes that upon himself.
func (d *decider) electable() (bool, string) {
	c, name := d.cluster, d.s.Self.Name
	if f := c.Failover; f.Candidate == name && f.Leader == "" {
		return true, ""
	}
	e := syncset.Election{
		Mode: d.syncMode(), Key: syncset.Key{Leader: c.Sync.Leader, Quorum: c.Sync.Quorum, Voters: c.Sync.Standbys},
		KeyExists: c.Sync.Mod != 0, Candidate: name, At: syncset.Position{Timeline: d.s.PG.Timeline, LSN: d.s.PG.FlushLSN},
		Reached: map[string]syncset.Position{},
	}
	for n, a := range d.s.Race.Answers {
		if a.Reached && a.Running && !a.Primary && (a.SystemID == "" || a.SystemID == d.s.PG.SystemID) && a.Pledged.Covers(d.s.Race.Target) {
			e.Reached[n] = syncset.Position{Timeline: a.Timeline, LSN: a.FlushLSN}
		}
	}
	return syncset.CanPromote(e)
}

// notAllowed looks at what forbids this node to lead, whoever else is there. It pledges all the same: it may be asked.
func (d *decider) notAllowed() bool {
	c, name := d.cluster, d.s.Self.Name
	f := c.Failover
	// Whom the sync key names has every acknowledged commit, however old the position and the timeline that others last told.
	vouched := d.s.Set.SynchronousMode.Enabled() && c.Sync.Mod != 0 && c.Sync.Has(name)
	switch {
	case c.Unfenced != nil && c.Unfenced.Node != name:
		d.because(CodeWaiting, "%s is in maintenance without a lease and may take writes: nobody is promoted", c.Unfenced.Node)
	case d.s.Self.NoFailover:
		d.because(CodeRacing, "following a different leader because i am not allowed to promote")
	case !vouched && c.Status.Optime-int64(d.s.PG.FlushLSN) > d.s.Set.MaximumLagOnFailover && f.Candidate != name:
		d.because(CodeRacing, "my WAL position is %d bytes behind the last leader's, more than maximum_lag_on_failover", c.Status.Optime-int64(d.s.PG.FlushLSN))
	case !vouched && (d.s.Set.CheckTimeline || c.HistRev != 0) && uint32(d.s.PG.Timeline) < c.LastTimeline():
		d.because(CodeRacing, "My timeline %d is behind last known cluster timeline %d", d.s.PG.Timeline, c.LastTimeline())
	default:
		return false
	}
	return true
}

// oldLeaderMayLive holds while a member that calls itself primary still has its lease, and has not given its term up: somebody
// deleted the leader key by hand, and that primary needs a moment to notice. A lease that ended took both keys.
func (d *decider) oldLeaderMayLive() bool {
	for _, m := range d.cluster.Members {
		if m.Name == d.s.Self.Name || m.Role != "primary" && m.Role != "promoted" {
			continue
		}
		if r := d.cluster.Released; r != nil && r.From == m.Name && (d.mem.Leader != m.Name || r.Term.Covers(d.mem.Term)) {
			continue
		}
		d.because(CodeWaiting, "waiting for %s, whose lease lives, to notice that its leader key is gone", m.Name)
		d.within(askAgain)
		return true
	}
	return false
}

// handedOver serves the member that the lead was handed to: with all of the old primary's WAL it lacks nothing, and asks nobody.
func (d *decider) handedOver() bool {
	if !d.justHanded() {
		return false
	}
	r := d.cluster.Released
	d.within(20 * time.Millisecond)
	if r.To != d.s.Self.Name {
		d.because(CodeWaiting, "the lead was handed to %s", r.To)
		return true
	}
	d.because(CodeRacing, "the lead was handed to this node")
	if uint64(d.s.PG.FlushLSN) >= r.LSN {
		d.acquire()
	}
	return true
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

// ahead names a member that should lead rather than this one, and why; or one that must be waited for.
func (d *decider) ahead() (who, why string) {
	me := Answer{Name: d.s.Self.Name, Timeline: d.s.PG.Timeline, FlushLSN: max(d.s.PG.FlushLSN, d.s.PG.ReplayLSN), FailoverPriority: d.s.Self.FailoverPriority}
	f := d.cluster.Failover
	for _, name := range slices.Sorted(maps.Keys(d.s.Race.Answers)) {
		a := d.s.Race.Answers[name]
		switch {
		case !a.Reached:
			if _, member := d.cluster.Member(name); !member && d.cold() {
				return name, "may hold newer data and has not come back yet"
			}
		case a.SystemID != "" && a.SystemID != d.s.PG.SystemID: // another cluster's folder; before the first leader only the own one tells
		case a.Primary:
			return name, "still runs as a primary"
		case !a.Running && !a.NoFailover && d.cold():
			return name, "may hold newer data and is not up yet"
		case a.NoFailover || a.WatchdogFailed || !a.Running || f.Candidate == me.Name:
		case d.s.Set.SynchronousMode.Enabled() && d.cluster.Sync.Leader != "" && !d.cluster.Sync.Has(name):
		case f.Candidate == name && d.s.Now.Sub(d.mem.GoneAt) < namedPatience:
			return name, "was named by an operator"
		case preferred(a, me):
			return name, "is ahead"
		}
	}
	return "", ""
}

// preferred orders two candidates: by timeline, received WAL, priority, name.
func preferred(a, b Answer) bool {
	al, bl := max(a.FlushLSN, a.ReplayLSN), max(b.FlushLSN, b.ReplayLSN)
	switch {
	case a.Timeline != b.Timeline:
		return a.Timeline > b.Timeline
	case al != bl:
		return al > bl
	case a.FailoverPriority != b.FailoverPriority:
		return a.FailoverPriority > b.FailoverPriority
	}
	return a.Name < b.Name
}

// acquire takes the leader key: in one transaction with the state of synchronous replication that it was decided on.
func (d *decider) acquire() {
	if !d.s.leaseValid(d.s.timing().Renew) {
		d.because(CodeNoLease, "waiting for a lease to lead with")
		return
	}
	k, c := d.s.Keys, d.cluster
	if u := c.Unfenced; u != nil && u.Node != d.s.Self.Name {
		d.because(CodeWaiting, "%s is in maintenance without a lease and may take writes: nobody takes the lead", u.Node)
		return
	}
	// Another term may begin and end between this decision and its arrival, and leave no leader key behind. It leaves another status:
	// every takeover writes that key, so that a race which was won before that term does not count after it.
	t := dcs.Txn{
		If: []dcs.Compare{
			dcs.Absent(k.Leader()), dcs.Unchanged(k.Status(), c.Status.Mod), dcs.Unchanged(k.Sync(), c.Sync.Mod),
			dcs.Unchanged(k.Initialize(), c.InitializeRev),
		},
		Then: []dcs.Op{
			dcs.Put(k.Leader(), d.s.Self.Name, d.s.Lease.ID), dcs.Put(k.Status(), dcs.Encode(c.Status), 0),
			dcs.Delete(k.Released()), // it speaks of the last term only: this one may end without a word
		},
	}
	if c.Unfenced == nil {
		t.If = append(t.If, dcs.Absent(k.Unfenced()))
	}
	t.Then = append(t.Then, d.takeoverSync()...)
	if f := c.Failover; !f.IsZero() && (f.ScheduledAt == "" || c.Released != nil && c.Released.From == f.Leader) {
		t.If = append(t.If, dcs.Unchanged(k.Failover(), f.Mod)) // a request that came meanwhile is not lost
		t.Then = append(t.Then, dcs.Put(k.Failover(), "{}", 0))
	}
	d.because(CodeRacing, "acquiring the leader key")
	d.commit(AcquireLead, t)
}

// AcquireLead is the What of the commit by which this node takes the lead. When it succeeds the executor sets Memory.Acquired to the
// term that it made: the commit's revision.
const AcquireLead = "acquire the lead"
