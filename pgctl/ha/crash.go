package ha

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

const (
	// slowReplay is how many bytes of log make a recovery slower than a failover: PostgreSQL replays 100 to 300 MB a second.
	slowReplay = 128 << 20
	// currentPatience is how long a crashed primary looks for a standby that has everything before it recovers in place.
	currentPatience = 1500 * time.Millisecond
	// positionsAgain is the time between two questions for positions.
	positionsAgain = 100 * time.Millisecond
)

// handToCurrent gives the lead of a crashed primary to a standby that lacks no commit, when recovering in place would take longer than
// that, or cannot work because the disk is full. Without synchronous replication only this node is sure to have every commit, so it reads where its last one ends, and
// only a member that has received as much may take over; its lease goes on meanwhile. It says whether it has something to do.
func (d *decider) handToCurrent() bool {
	p := &d.s.PG
	full := p.Disk == dcs.DiskFull
	if (p.Replay < slowReplay || p.Failed.Count > 0) && !full || d.s.Now.Sub(p.PhaseSince) > currentPatience || !d.couldTakeOver() {
		return false
	}
	why := fmt.Sprintf("with %d MB of WAL to replay", p.Replay>>20)
	if full {
		why = "without room on the disk"
	}
	d.because(CodeRecovering, "PostgreSQL crashed %s: looking for a standby that has every commit", why)
	if !p.Tail.At.After(p.PhaseSince) {
		return d.do(ReadTail{From: p.FlushLSN})
	}
	r := d.s.Race
	asked := r.Target.IsZero() && r.AskedAt.After(p.PhaseSince)
	if to := d.current(); asked && r.Done && to != "" {
		d.because(CodeFailingOver, "handing the lead of a crashed primary over to %s, which has every commit", to)
		if d.releaseTo(Handover{To: to}, uint64(p.Tail.Durable)) {
			d.mem.GivenUp = d.cluster.Leader.Term
		}
		return true
	}
	if asked && (!r.Done || d.s.Now.Before(r.AskedAt.Add(positionsAgain))) {
		d.within(positionsAgain)
		return true
	}
	a := AskPeers{From: map[string]string{}}
	for _, m := range d.cluster.Members {
		if m.Name != d.s.Self.Name && m.State == "running" {
			a.From[m.Name] = m.APIURL
			a.Wait = append(a.Wait, m.Name)
		}
	}
	d.do(a) // if the lane is busy, its answer comes first
	return true
}

// current is a member that could lead and has received every commit.
func (d *decider) current() string {
	best, at := "", postgres.LSN(0)
	full := d.s.PG.Disk == dcs.DiskFull
	for _, name := range slices.Sorted(maps.Keys(d.s.Race.Answers)) {
		if m := d.s.Race.Answers[name]; d.hasAll(m) && m.LSN() > at && !(full && d.diskFull(name)) {
			best, at = name, m.LSN()
		}
	}
	return best
}

func (d *decider) diskFull(name string) bool {
	m, ok := d.cluster.Member(name)
	return ok && m.Disk == dcs.DiskFull
}

func (d *decider) hasAll(m candidate.Member) bool {
	t := d.s.PG.Tail
	fit := m.Reachable && m.Running && !m.Primary && !m.NoFailover && m.Priority > 0 && !m.WatchdogFailed
	return fit && m.Timeline == t.Timeline && m.FlushLSN >= t.Durable && (m.SystemID == "" || m.SystemID == d.s.PG.SystemID)
}
