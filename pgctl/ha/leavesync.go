package ha

import "maps"

// A synchronous standby that is about to stop says so first, by the tag nosync, and gives the leader a moment to do without it: commits would
// wait for as long as its PostgreSQL is down (Patroni 4, "prepare for the shutdown of a synchronous standby").

// leftSync says whether PostgreSQL may stop as far as those are concerned who wait for its confirmations. They are waited for no longer than two
// loop_wait: a leader that has nobody else keeps this one.
func (d *decider) leftSync() bool {
	c := d.cluster
	if c.Leader == nil || c.LeaderName() == d.s.Self.Name || d.s.Store.Down || !d.syncEnabled() || !d.s.PG.standby() || !c.Sync.Has(d.s.Self.Name) ||
		c.Sync.Leader == d.s.Self.Name {
		return true
	}
	if d.mem.LeavingSync == 0 {
		d.mem.LeavingSync = d.s.Now
	}
	left := d.mem.LeavingSync.Add(2 * d.s.Set.LoopWait).Sub(d.s.Now)
	if left <= 0 {
		return true
	}
	d.within(left)
	d.because(CodeFollowing, "waiting for %s to do without this synchronous standby before it stops", c.LeaderName())
	return false
}

// tags are this node's, with nosync while it is about to stop.
func (d *decider) tags() map[string]any {
	if d.mem.LeavingSync == 0 {
		return d.s.Self.Tags
	}
	t := maps.Clone(d.s.Self.Tags)
	if t == nil {
		t = map[string]any{}
	}
	t["nosync"] = true
	return t
}

// stopAsked says whether anybody has asked for PostgreSQL to stop, or the copying of slots does.
func (d *decider) stopAsked() bool {
	return d.s.Asked.Stop || d.s.Asked.Restart != nil || d.s.Asked.Reinit != nil || len(d.missingLogical()) > 0
}
