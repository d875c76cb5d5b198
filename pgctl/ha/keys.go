package ha

import (
	"maps"
	"slices"

	"quorate/raftstore/dcs"
)

// mine makes a transaction fail when this term has ended.
func (d *decider) mine(also ...dcs.Compare) []dcs.Compare {
	return append([]dcs.Compare{dcs.CreatedAt(d.s.Keys.Leader(), d.cluster.Leader.Term.Rev)}, also...)
}

// clusterKeys writes the keys that a leader owes the cluster, one at a time. It says whether one is being written.
func (d *decider) clusterKeys() bool {
	k, c := d.s.Keys, d.cluster
	if c.Initialize == "" && d.opBusy() {
		d.because(CodeBootstrap, "making the roles of the new cluster")
		return true
	}
	if c.Initialize == "" && d.s.PG.SystemID != "" {
		ops := []dcs.Op{dcs.Put(k.Initialize(), d.s.PG.SystemID, 0)}
		if c.Config == nil && c.ConfigRev == 0 && d.s.Self.BootstrapConfig != nil {
			ops = append(ops, dcs.Put(k.Config(), string(d.s.Self.BootstrapConfig), 0))
		}
		d.because(CodeBootstrap, "initialized a new cluster")
		return d.commit("initialize the cluster", dcs.Txn{If: d.mine(dcs.Unchanged(k.Initialize(), c.InitializeRev)), Then: ops})
	}
	if c.Config == nil && c.ConfigRev == 0 && d.s.Self.BootstrapConfig != nil {
		return d.commit("write the configuration", dcs.Txn{
			If: d.mine(dcs.Absent(k.Config())), Then: []dcs.Op{dcs.Put(k.Config(), string(d.s.Self.BootstrapConfig), 0)},
		})
	}
	if h, ok := d.history(); ok && d.s.PG.writable() { // a standby leader's is the remote cluster's
		return d.commit(writeHistory, dcs.Txn{If: d.mine(dcs.Unchanged(k.History(), c.HistRev)), Then: []dcs.Op{dcs.Put(k.History(), dcs.Encode(h), 0)}})
	}
	if d.keepFailsafeList() {
		return true
	}
	if r := d.roster(); !maps.Equal(r, c.Roster) {
		return d.commit(writeRoster, dcs.Txn{If: d.mine(dcs.Unchanged(k.Roster(), c.RosterRev)), Then: []dcs.Op{dcs.Put(k.Roster(), dcs.Encode(r), 0)}})
	}
	return false
}

// history is what the history key should say, if it says something else: the leader's own history is the cluster's. What the key
// tells of a timeline that was given up again goes.
func (d *decider) history() ([]dcs.HistoryLine, bool) {
	p, c := &d.s.PG, d.cluster
	if len(p.Switches) == 0 && p.Timeline != 1 {
		return nil, false // not known yet
	}
	h := d.ownHistory()
	same := slices.EqualFunc(h, c.History, func(a, b dcs.HistoryLine) bool { return a.Timeline == b.Timeline && a.LSN == b.LSN })
	return h, c.HistRev == 0 || !same
}

// isoTime is a point in time as Python's isoformat writes it, which is all that Python before 3.11 reads back.
const isoTime = "2006-01-02T15:04:05.000000-07:00"

func (d *decider) ownHistory() []dcs.HistoryLine {
	out := []dcs.HistoryLine{}
	for i, sw := range d.s.PG.Switches {
		line := dcs.HistoryLine{Timeline: uint32(sw.Timeline), LSN: uint64(sw.End), Reason: sw.Reason}
		if k := slices.IndexFunc(d.cluster.History, func(h dcs.HistoryLine) bool { return h.Timeline == line.Timeline && h.LSN == line.LSN }); k >= 0 {
			line = d.cluster.History[k] // with the time and the name that were noted then
		} else if i == len(d.s.PG.Switches)-1 {
			line.Timestamp, line.NewLeader = d.s.Wall.Format(isoTime), d.s.Self.Name
		}
		out = append(out, line)
	}
	if n := d.s.Set.MaxTimelinesHistory; n > 0 && len(out) > n {
		out = out[len(out)-n:]
	}
	return out
}

// shortHistory takes from the history what is told of timelines that whoever takes the lead now has not seen: they are given up
// with it.
func (d *decider) shortHistory() []dcs.Op {
	i := slices.IndexFunc(d.cluster.History, func(h dcs.HistoryLine) bool { return h.Timeline >= uint32(d.s.PG.Timeline) })
	if i < 0 || d.s.PG.Timeline == 0 {
		return nil
	}
	return []dcs.Op{dcs.Put(d.s.Keys.History(), dcs.Encode(d.cluster.History[:i]), 0)}
}

// roster is every data host that is known. A host leaves it only when an operator removes it (its name is in no configuration
// that the leader could see), because it may hold what others lack.
func (d *decider) roster() map[string]string {
	r := maps.Clone(d.cluster.Roster)
	if r == nil {
		r = map[string]string{}
	}
	for _, m := range d.cluster.Members {
		if m.Folder == "data" {
			r[m.Name] = m.APIURL
		}
	}
	return r
}

// status tells the position for the lag rules, once a loop while it moves.
func (d *decider) status() {
	lsn := int64(d.s.PG.FlushLSN)
	was := d.cluster.Status
	at, retained := d.slotPositions()
	if lsn == 0 || lsn == was.Optime && maps.Equal(at, was.Slots) && slices.Equal(retained, was.RetainSlots) {
		return
	}
	if due := d.mem.StatusAt.Add(d.s.Set.LoopWait); d.s.Now.Before(due) {
		d.within(due.Sub(d.s.Now))
		return
	}
	txn := dcs.Txn{If: d.mine(), Then: []dcs.Op{dcs.Put(d.s.Keys.Status(), dcs.Encode(dcs.Status{Optime: lsn, Slots: at, RetainSlots: retained}), 0)}}
	if d.do(Commit{In: LaneStatus, What: "status", Txn: txn}) {
		d.mem.StatusAt = d.s.Now
	}
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
