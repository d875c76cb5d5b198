package ha

import (
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// SetSlots drops, makes and moves replication slots, in this order. It has a lane of its own: no failover waits for a slot.
type SetSlots struct {
	Drop    []string
	Want    []string                // physical ones, made where they are missing
	Logical map[string]dynamic.Slot // made where they are missing
	Advance map[string]postgres.LSN // the log before may go
}

// LaneSlots is that of SetSlots.
const LaneSlots Lane = "slots"

// Lane says which actions exclude it.
func (SetSlots) Lane() Lane { return LaneSlots }

func (a SetSlots) String() string {
	var out []string
	if len(a.Drop) > 0 {
		out = append(out, "drop "+strings.Join(a.Drop, ", "))
	}
	if len(a.Want) > 0 {
		out = append(out, "make "+strings.Join(a.Want, ", "))
	}
	if len(a.Logical) > 0 {
		out = append(out, "make logical "+strings.Join(slices.Sorted(maps.Keys(a.Logical)), ", "))
	}
	if len(a.Advance) > 0 {
		var to []string
		for _, n := range slices.Sorted(maps.Keys(a.Advance)) {
			to = append(to, n+" to "+a.Advance[n].String())
		}
		out = append(out, "advance "+strings.Join(to, ", "))
	}
	return "slots: " + strings.Join(out, "; ")
}

// OnlyMoves says whether nothing is made or dropped: that is done once a loop, and no news.
func (a SetSlots) OnlyMoves() bool { return len(a.Drop)+len(a.Want)+len(a.Logical) == 0 }

func (a *SetSlots) advance(name string, to postgres.LSN) {
	if a.Advance == nil {
		a.Advance = map[string]postgres.LSN{}
	}
	a.Advance[name] = to
}

func (a SetSlots) isEmpty() bool { return a.OnlyMoves() && len(a.Advance) == 0 }

// withoutDrops leaves alone what is there: in a pause somebody may be at work with it.
func (a SetSlots) withoutDrops() SetSlots {
	a.Want = slices.DeleteFunc(a.Want, func(n string) bool { return slices.Contains(a.Drop, n) })
	for _, n := range a.Drop {
		delete(a.Logical, n)
	}
	a.Drop = nil
	return a
}

// slots keeps the replication slots: on the leader those of its members and the permanent ones, on a standby what it needs to be the next leader
// without a gap in anybody's log.
func (d *decider) slots() {
	p := &d.s.PG
	if !d.s.Set.PostgreSQL.UseSlots || d.opBusy() || d.busy(LaneSlots) || d.s.Now.Sub(p.SampleAt) >= sampleTrust {
		return
	}
	if left := p.SlotsFailed.Add(d.s.Set.LoopWait).Sub(d.s.Now); !p.SlotsFailed.IsZero() && left > 0 {
		d.within(left)
		return
	}
	var a SetSlots
	if d.s.holdsKey() {
		a = d.leaderSlots()
	} else {
		a = d.standbySlots()
	}
	if d.s.Set.Pause {
		a = a.withoutDrops()
	}
	switch {
	case a.isEmpty():
		return
	case a.OnlyMoves():
		if left := d.mem.SlotsAt.Add(d.s.Set.LoopWait).Sub(d.s.Now); left > 0 {
			d.within(left)
			return
		}
	}
	if d.do(a) {
		d.mem.SlotsAt = d.s.Now
	}
}

// leaderSlots makes what is missing, drops what this cluster has made and nobody wants any more, and makes anew what has lost its log. A slot
// that somebody else has made is left alone: max_slot_wal_keep_size bounds what it can cost.
func (d *decider) leaderSlots() SetSlots {
	d.noteGone()
	rows := d.s.PG.SlotRows
	want := d.keptSlots()
	var a SetSlots
	for _, n := range want {
		row, there := rows[n]
		switch {
		case there && row.WALStatus == "lost" && !row.Active && !d.ignored(n):
			a.Drop, a.Want = append(a.Drop, n), append(a.Want, n)
		case !there && !slices.Contains(d.s.PG.Slots, n):
			a.Want = append(a.Want, n)
		}
	}
	for n, pos := range d.cascadePositions() {
		row, there := rows[n]
		if pos = min(pos, d.s.PG.FlushLSN); there && !row.Logical && !row.Active && row.WALStatus != "lost" && pos > row.Restart && !d.ignored(n) {
			a.advance(n, pos)
		}
	}
	for n, s := range d.permanent(dynamic.LogicalSlot) {
		if row, there := rows[n]; !there || row.WALStatus == "lost" && !row.Active && !d.ignored(n) {
			if a.Logical == nil {
				a.Logical = map[string]dynamic.Slot{}
			}
			a.Logical[n] = s
			if there {
				a.Drop = append(a.Drop, n)
			}
		}
	}
	a.Drop = sorted(append(a.Drop, d.unwanted(want)...))
	return a
}

// standbySlots keeps copies of the leader's slots, moved as far as the leader says that they are.
func (d *decider) standbySlots() SetSlots {
	var a SetSlots
	want := d.wantSlots() // who streams from this node
	for _, n := range want {
		if _, there := d.s.PG.SlotRows[n]; !there && !slices.Contains(d.s.PG.Slots, n) {
			a.Want = append(a.Want, n)
		}
	}
	at := d.slotsAtLeader()
	if len(at) == 0 {
		return a
	}
	own := postgres.SlotName(d.s.Self.Name)
	for n, pos := range at {
		if d.s.Self.NoFailover || slices.Contains(want, n) {
			continue
		}
		row, there := d.s.PG.SlotRows[n]
		logical := row.Logical || d.s.Set.Slots[n].Type == dynamic.LogicalSlot
		switch {
		case there && row.Logical && d.s.PG.SlotSync && !row.Synced && !row.Active && !d.ignored(n):
			a.Drop = append(a.Drop, n) // in the way of PostgreSQL's own copy
			continue
		case there && !logical && row.HoldsXmin && !row.Active && !d.retained(n) && !d.ignored(n):
			// Left from when this node led: nobody moves its xmin any more, and it would hold back vacuum in the whole cluster.
			a.Drop, a.Want = append(a.Drop, n), append(a.Want, n)
		case n == own || d.ignored(n) || !postgres.ValidSlotName(n):
			continue
		case !there && !logical:
			a.Want = append(a.Want, n)
		case there && row.WALStatus == "lost" && !row.Active && !logical:
			a.Drop, a.Want = append(a.Drop, n), append(a.Want, n)
		case there && row.Logical && row.WALStatus == "lost" && !row.Active && !row.Synced:
			a.Drop = append(a.Drop, n) // and another one is copied
			continue
		case there && !row.Active && !row.Synced && !(logical && !d.carriesLogical()) && postgres.LSN(pos) > max(row.Restart, row.Confirmed) && d.s.PG.ReplayLSN > max(row.Restart, row.Confirmed):
			a.advance(n, postgres.LSN(pos))
		}
		want = append(want, n)
	}
	a.Want = sorted(a.Want)
	a.Drop = sorted(append(a.Drop, d.unwanted(want)...))
	return a
}

// slotsAtLeader are the positions that the leader has told: in the status key, or, while the store is away, to each member that it asks to let it
// go on. Only slots of the status key are moved by that: which ones there are is not decided without the store.
func (d *decider) slotsAtLeader() map[string]int64 {
	at := d.cluster.Status.Slots
	if !d.s.Promised() || !d.s.SafeSlots.At.After(d.s.Store.SeenAt) {
		return at
	}
	at = maps.Clone(at)
	for n, pos := range at {
		at[n] = max(pos, d.s.SafeSlots.Positions[n])
	}
	return at
}

// retained says whether a slot is kept for a member that is away.
func (d *decider) retained(slot string) bool {
	here := func(m dcs.Member) bool { return postgres.SlotName(m.Name) == slot }
	return slices.Contains(d.cluster.Status.RetainSlots, slot) && !slices.ContainsFunc(d.cluster.Members, here)
}

// carriesLogical says whether this standby keeps copies of logical slots. One that may not lead has no use for them, and one that streams from nobody
// has no catalog rows held back for it.
func (d *decider) carriesLogical() bool { return !d.s.Self.NoFailover && !d.s.Self.NoStream }

// copyPause is the time between two attempts to copy logical slots: each may stop PostgreSQL.
const copyPause = 30 * time.Second

// missingLogical are the permanent logical slots that the leader has and this standby has not.
func (d *decider) missingLogical() []string {
	p := &d.s.PG
	switch {
	case d.cluster == nil || d.s.Set.Pause || !d.s.Set.PostgreSQL.UseSlots || p.SlotSync || !d.carriesLogical():
		return nil
	case !p.standby() || !p.Streaming || d.s.Now.Sub(p.SampleAt) >= sampleTrust || !p.SlotsCopied.IsZero() && d.s.Now.Sub(p.SlotsCopied) < copyPause:
		return nil
	}
	var out []string
	for n := range d.permanent(dynamic.LogicalSlot) {
		_, there := p.SlotRows[n]
		if pos := d.cluster.Status.Slots[n]; !there && pos != 0 {
			out = append(out, n)
		}
	}
	return sorted(out)
}

// keptSlots are the physical slots of a leader.
func (d *decider) keptSlots() []string {
	out := d.memberSlots()
	for n := range d.permanent(dynamic.PhysicalSlot) {
		out = append(out, n)
	}
	return sorted(out)
}

// memberSlots are those of the members, and of those that have been away for no more than member_slots_ttl.
func (d *decider) memberSlots() []string {
	expired := map[string]bool{}
	for n, since := range d.mem.SlotGone {
		if d.s.Now.Sub(since) >= d.s.Set.MemberSlotsTTL { // 0: as soon as the key has gone
			expired[postgres.SlotName(n)] = true
		}
	}
	return slices.DeleteFunc(d.wantSlots(), func(n string) bool { return expired[n] })
}

// permanent are the configured slots of a kind that belong to this kind of cluster. One by the name of this node's own slot would be two in one.
func (d *decider) permanent(kind dynamic.SlotType) map[string]dynamic.Slot {
	out := map[string]dynamic.Slot{}
	here := "primary"
	if d.s.Set.StandbyCluster != nil {
		here = "standby"
		if kind == dynamic.LogicalSlot {
			return out // a standby cluster has no server on which one could be made
		}
	}
	for n, s := range d.s.Set.Slots {
		if s.Type == kind && (s.ClusterType == "" || s.ClusterType == here) && n != postgres.SlotName(d.s.Self.Name) && postgres.ValidSlotName(n) {
			out[n] = s
		}
	}
	return out
}

// unwanted are the slots that this cluster has made, by name or by the leader's word, and that nobody wants any more.
func (d *decider) unwanted(want []string) []string {
	c := d.cluster
	ours := map[string]bool{}
	for n := range c.Roster {
		ours[postgres.SlotName(n)] = true
	}
	for _, m := range c.Members {
		ours[postgres.SlotName(m.Name)] = true
	}
	for n := range c.Status.Slots {
		ours[n] = true
	}
	for _, n := range c.Status.RetainSlots {
		ours[n] = true
	}
	var out []string
	logicals := d.permanent(dynamic.LogicalSlot)
	for _, n := range sorted(slices.Concat(d.s.PG.Slots, slices.Collect(maps.Keys(d.s.PG.SlotRows)))) {
		row := d.s.PG.SlotRows[n]
		_, logical := logicals[n]
		if ours[n] && !row.Active && !d.attached(n) && !row.Temporary && !row.Synced && !logical && !slices.Contains(want, n) && !d.ignored(n) {
			out = append(out, n)
		}
	}
	return out
}

// attached says whether a standby streams by the name that a slot belongs to.
func (d *decider) attached(slot string) bool {
	return slices.ContainsFunc(d.s.PG.Standbys, func(s syncset.Standby) bool { return s.Streaming && postgres.SlotName(s.Name) == slot })
}

// ignored says whether ignore_slots takes a slot out of the agent's hands.
func (d *decider) ignored(name string) bool {
	row := d.s.PG.SlotRows[name]
	s := dynamic.Slot{Type: dynamic.PhysicalSlot, Database: row.Database, Plugin: row.Plugin}
	if row.Logical {
		s.Type = dynamic.LogicalSlot
	}
	return slices.ContainsFunc(d.s.Set.IgnoreSlots, func(m dynamic.SlotMatcher) bool { return m.Matches(name, s) })
}

// noteGone keeps since when each host of the roster has had no member key. A new leader begins to count anew: late, never early.
func (d *decider) noteGone() {
	gone := map[string]boottime.Instant{}
	for n := range d.cluster.Roster {
		if _, here := d.cluster.Member(n); here || n == d.s.Self.Name {
			continue
		}
		since, ok := d.mem.SlotGone[n]
		if !ok {
			since = d.s.Now
		}
		gone[n] = since
	}
	d.mem.SlotGone = gone
}

// slotPositions are what the standbys move their copies to, with this node's own: it will need its log from the next leader. retained are the
// slots of members, present and away, that are not permanent ones (Patroni 4.1: AbstractDCS._build_retain_slots).
func (d *decider) slotPositions() (at map[string]int64, retained []string) {
	if !d.s.Set.PostgreSQL.UseSlots || len(d.s.PG.SlotRows) == 0 {
		return nil, nil
	}
	kept, logical := d.keptSlots(), d.permanent(dynamic.LogicalSlot)
	at = map[string]int64{postgres.SlotName(d.s.Self.Name): int64(d.s.PG.FlushLSN)}
	for n, row := range d.s.PG.SlotRows {
		pos := row.Restart
		if row.Logical {
			pos = row.Confirmed
		}
		_, yes := logical[n]
		_, named := d.cluster.Status.Slots[n] // one that is to go is named until it has gone: somebody may still use it
		if pos != 0 && row.WALStatus != "lost" && !d.ignored(n) && (yes || named || slices.Contains(kept, n)) {
			at[n] = int64(pos)
		}
	}
	permanent := d.permanent(dynamic.PhysicalSlot)
	for _, n := range append(d.memberSlots(), postgres.SlotName(d.s.Self.Name)) {
		if _, yes := permanent[n]; !yes {
			retained = append(retained, n)
		}
	}
	return at, sorted(retained)
}
