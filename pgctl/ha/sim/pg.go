package sim

import (
	"slices"

	"quorate/pgctl/ha"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// record is one commit in the WAL.
type record struct {
	tl postgres.Timeline
	id int
}

// pg is one PostgreSQL: what is on disk, and what runs.
type pg struct {
	data       bool
	log        []record
	tl         postgres.Timeline
	switches   []postgres.Switch
	clean      bool
	wasPrimary bool
	asked      postgres.SyncNames // in the configuration file
	names      postgres.SyncNames // in effect
	pledged    dcs.Term

	running   bool
	starting  bool
	recovery  bool
	frozen    bool
	term      dcs.Term // for which it was opened
	upstream  ha.Upstream
	streaming bool
	pending   []commit
	life      int
	crashes   int
}

type commit struct {
	id, at int // its record is log[at]
}

func (p *pg) end() postgres.LSN { return postgres.LSN(len(p.log)) }

func (p *pg) writable() bool { return p.running && !p.starting && !p.recovery }

// client writes on every host whose PostgreSQL lets it.
func (p *pg) client(h *host) {
	if !h.awake() || p.frozen || !p.writable() {
		return
	}
	p.names = p.asked // the reload has come through
	if !h.w.chance(0.5) {
		return
	}
	id := h.w.check.newID()
	p.log = append(p.log, record{p.tl, id})
	p.pending = append(p.pending, commit{id, len(p.log) - 1})
}

// replicate lets a standby receive what its upstream has.
func (p *pg) replicate(h *host) {
	p.streaming = false
	if !h.awake() || p.frozen || !p.running || p.starting || !p.recovery || p.upstream.Name == "" {
		return
	}
	up := h.w.host(p.upstream.Name)
	if up == nil || !up.awake() || up.pg.frozen || !up.pg.writable() || !h.w.linked(h.name, up.name) {
		return
	}
	if !prefix(p.log, up.pg.log) {
		return
	}
	p.streaming = true
	n := len(up.pg.log)
	if have := len(p.log); n > have && h.w.chance(0.3) { // a standby lags
		n = have + h.w.rng.IntN(n-have+1)
	}
	p.log = append(p.log, up.pg.log[len(p.log):n]...)
	if n == len(up.pg.log) || len(p.log) > 0 && p.log[len(p.log)-1].tl == up.pg.tl {
		p.tl, p.switches = up.pg.tl, slices.Clone(up.pg.switches)
	}
}

// attached says whether a standby runs on the primary's history and streams from it.
func (p *pg) attached(to *host) bool {
	return p.running && p.upstream.Name == to.name && p.streaming && prefix(p.log, to.pg.log)
}

// prefix says whether a's WAL is the beginning of b's. Records are unique, so that the last one tells.
func prefix(a, b []record) bool {
	return len(a) <= len(b) && (len(a) == 0 || a[len(a)-1] == b[len(a)-1])
}

// acknowledge answers the clients whose commits synchronous_standby_names lets through.
func (p *pg) acknowledge(h *host) {
	if !h.awake() || p.frozen || !p.writable() {
		return
	}
	rest := p.pending[:0]
	for _, c := range p.pending {
		if p.confirmed(h, c) {
			h.w.check.acked(h, p.term, c.id, c.at)
		} else {
			rest = append(rest, c)
		}
	}
	p.pending = rest
}

func (p *pg) confirmed(h *host, c commit) bool {
	if p.names.IsZero() {
		return true
	}
	var have, connected []string
	for _, n := range p.names.Names {
		s := h.w.host(n)
		if s == nil || !s.pg.streaming || s.pg.upstream.Name != h.name {
			continue
		}
		connected = append(connected, n)
		if len(s.pg.log) > c.at && s.pg.log[c.at].id == c.id {
			have = append(have, n)
		}
	}
	need := max(p.names.Num, 1)
	if p.names.Method == postgres.SyncAny {
		return len(have) >= need
	}
	if len(connected) < need {
		return false
	}
	for _, n := range connected[:need] {
		if !slices.Contains(have, n) {
			return false
		}
	}
	return true
}

// die ends all processes. A primary's folder is then as after a crash.
func (p *pg) die(clean bool) {
	if p.running {
		p.clean, p.wasPrimary = clean, !p.recovery
	}
	p.running, p.starting, p.frozen, p.streaming, p.pending = false, false, false, false, nil
	p.life++
}

// open makes a standby a primary: a new timeline from the end of its WAL.
func (p *pg) open(t dcs.Term) {
	p.switches = append(p.switches, postgres.Switch{Timeline: p.tl, End: p.end(), Reason: "no recovery target specified"})
	p.tl++
	p.recovery, p.term, p.upstream = false, t, ha.Upstream{}
}

// sample is what the monitor and the control file tell.
func (p *pg) sample(h *host, out *ha.PG) {
	out.Folder = ha.FolderEmpty
	out.SystemID = ""
	if p.data {
		out.Folder, out.SystemID = ha.FolderData, "sys"
	}
	phase := ha.Stopped
	switch {
	case p.running && p.starting:
		phase = ha.Starting
	case p.running:
		phase = ha.Running
	}
	if phase != out.Phase {
		out.PhaseSince = h.clock()
	}
	out.Phase = phase
	out.Clean, out.WasPrimary, out.EndLSN = p.clean, p.wasPrimary, p.end()
	out.Pledged, out.Crashes = p.pledged, p.crashes
	if out.Replay = 0; p.life%2 == 0 { // half of the crashes come long after a checkpoint
		out.Replay = 1 << 30
	}
	out.NamesAsked, out.Disk = p.asked, h.disk
	if p.frozen {
		return
	}
	out.Names = p.names
	out.SampleAt = h.clock()
	out.InRecovery, out.Timeline, out.FlushLSN, out.ReplayLSN = p.recovery, p.tl, p.end(), p.end()
	out.Switches, out.Streaming, out.Following = p.switches, p.streaming, p.upstream
	out.NamesSince = p.end()
	out.Standbys = nil
	if p.writable() {
		for _, s := range h.w.hosts {
			if s != h && s.pg.streaming && s.pg.upstream.Name == h.name {
				out.Standbys = append(out.Standbys, syncset.Standby{Name: s.name, Streaming: true, SyncState: syncState(p.names, s.name), FlushLSN: s.pg.end()})
			}
		}
	}
}

func syncState(n postgres.SyncNames, name string) string {
	if !n.Has(name) {
		return "async"
	}
	if n.Method == postgres.SyncAny {
		return "quorum"
	}
	return "sync"
}
