package ha

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// line is one line of a case: words, and values by key.
type line struct {
	fail  func(format string, args ...any)
	words []string
	keys  []string // of kv, in the order written
	kv    map[string]string
}

func parseLine(t *testing.T, d *datadriven.TestData, text string) line {
	l := line{kv: map[string]string{}, fail: func(format string, args ...any) {
		d.Fatalf(t, "in %q: "+format, append([]any{text}, args...)...)
	}}
	for _, f := range strings.Fields(text) {
		if k, v, ok := strings.Cut(f, "="); ok {
			l.keys = append(l.keys, k)
			l.kv[k] = strings.ReplaceAll(v, "_", " ")
		} else {
			l.words = append(l.words, f)
		}
	}
	return l
}

// each calls set for every value and word after the first n; false is an unknown one.
func (l line) each(n int, set func(k, v string) bool) {
	for _, w := range l.words[n:] {
		if !set(w, "") {
			l.fail("what is %s?", w)
		}
	}
	for _, k := range l.keys {
		if !set(k, l.kv[k]) {
			l.fail("what is %s?", k)
		}
	}
}

func (l line) num(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		l.fail("%v", err)
	}
	return n
}

func (l line) span(v string) time.Duration {
	x, err := time.ParseDuration(v)
	if err != nil {
		l.fail("%v", err)
	}
	return x
}

func (l line) names(v string) postgres.SyncNames {
	n, err := postgres.ParseSyncNames(strings.ReplaceAll(v, "+", " "))
	if err != nil {
		l.fail("%v", err)
	}
	return n
}

func list(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
}

// apply carries one line out.
func apply(t *testing.T, d *datadriven.TestData, s *script, text string) {
	l := parseLine(t, d, text)
	do, ok := scriptLines[l.words[0]]
	if !ok {
		l.fail("no such line")
	}
	do(s, l)
}

// scriptLines are the lines by their first word.
var scriptLines = map[string]func(*script, line){
	"leader":   leaderLine,
	"member":   memberLine,
	"pg":       pgLine,
	"standby":  standbyLine,
	"fence":    fenceLine,
	"lease":    leaseLine,
	"key":      keyLine,
	"set":      setLine,
	"self":     selfLine,
	"race":     raceLine,
	"mem":      memLine,
	"failsafe": failsafeLine,
	"promise":  promiseLine,
	"asked":    askedLine,
	"busy":     func(s *script, l line) { l.each(1, func(k, _ string) bool { s.Busy[Lane(k)] = true; return true }) },
	"store":    storeLine,
	"show":     func(s *script, _ line) { s.shown = true },
	"checked":  checkedLine,
	"failed":   failedLine,
	"handover": handoverLine,
}

// leader none | NAME [lease=N] [term=N]
func leaderLine(s *script, l line) {
	c := s.Store.Cluster
	if l.words[1] == "none" {
		c.Leader = nil
		return
	}
	s.lead(l.words[1])
	l.each(2, func(k, v string) bool {
		switch k {
		case "lease":
			c.Leader.Lease = l.num(v)
		case "term":
			c.Leader.Term = term(l.num(v))
		default:
			return false
		}
		return true
	})
}

// member NAME [gone] [state= role= folder= lsn= tl= system= tags=x,y priority= checkpointing]
func memberLine(s *script, l line) {
	name := l.words[1]
	m := s.member(name)
	if name == "a" {
		s.ownMember = true
	}
	gone := false
	l.each(2, func(k, v string) bool {
		switch k {
		case "gone":
			gone = true
		case "state":
			m.State = v
		case "role":
			m.Role = v
		case "folder":
			m.Folder = v
		case "disk": // full | low
			m.Disk = v
		case "lsn":
			m.XLogLocation = l.num(v)
		case "tl":
			m.Timeline = uint32(l.num(v))
		case "system":
			m.SystemID = v
		case "lease":
			m.Lease = l.num(v)
		case "conn":
			m.ConnURL = v
		case "checkpointing":
			no := false
			m.CheckpointAfterProm = &no
		case "streams": // in that term
			m.FollowingTerm, m.ReplicationState = l.num(v), "streaming"
		case "from":
			m.Tags = map[string]any{"replicatefrom": v}
		case "tags":
			m.Tags = map[string]any{}
			for _, t := range list(v) {
				m.Tags[t] = true
			}
		case "priority", "syncpriority", "nosync": // as text, which is how some write it
			if m.Tags == nil {
				m.Tags = map[string]any{}
			}
			m.Tags[map[string]string{"priority": "failover_priority", "syncpriority": "sync_priority", "nosync": "nosync"}[k]] = v
		default:
			return false
		}
		return true
	})
	s.addMember(m)
	if gone {
		c := s.Store.Cluster
		for i := range c.Members {
			if c.Members[i].Name == name {
				c.Members = append(c.Members[:i], c.Members[i+1:]...)
				break
			}
		}
	}
}

// pg [running|starting|stopped] [primary|standby] [folder=] …
func pgLine(s *script, l line) {
	p := &s.PG
	l.each(1, func(k, v string) bool { return pgPhase(p, k) || pgValue(s, l, k, v) })
	if p.Phase == Stopped {
		p.Streaming = false
	}
}

func pgPhase(p *PG, k string) bool {
	switch k {
	case "running":
		p.Phase = Running
	case "starting":
		p.Phase = Starting
	case "stopped":
		p.Phase = Stopped
	case "primary":
		p.InRecovery, p.WasPrimary, p.Streaming, p.Following, p.ReplState = false, true, false, Upstream{}, ""
	case "standby":
		p.InRecovery, p.WasPrimary = true, false
	case "clean":
		p.Clean, p.EndLSN = true, p.FlushLSN
	case "checkpointing":
		p.Checkpointing = true
	case "unattached":
		p.Streaming, p.ReplState = false, ""
	default:
		return false
	}
	return true
}

func slotLine(p *PG, l line, v string) {
	f := strings.Split(v, ":")
	row := postgres.Slot{Name: strings.ReplaceAll(f[0], " ", "_"), Restart: lsn(l.num(f[1])), WALStatus: "reserved"}
	for _, flag := range f[2:] {
		switch flag {
		case "lost":
			row.WALStatus = flag
		case "active":
			row.Active = true
		case "logical":
			row.Logical, row.Plugin, row.Database, row.Confirmed = true, "p", "d", row.Restart
		case "xmin":
			row.HoldsXmin = true
		case "synced":
			row.Synced = true
		default:
			l.fail("what is %s?", flag)
		}
	}
	if p.SlotRows == nil {
		p.SlotRows = map[string]postgres.Slot{}
	}
	p.SlotRows[row.Name] = row
	if !row.Logical {
		p.Slots = append(p.Slots, row.Name)
	}
}

func pgValue(s *script, l line, k, v string) bool {
	p := &s.PG
	switch k {
	case "folder":
		p.Folder = map[string]Folder{"unknown": FolderUnknown, "empty": FolderEmpty, "data": FolderData, "bad": FolderBad, "broken": FolderBroken}[v]
		if p.Folder == FolderEmpty {
			p.SystemID = ""
		}
	case "problem":
		p.Problem = v
	case "disk": // full | low
		p.Disk = v
	case "since":
		p.PhaseSince = s.Now.Add(-l.span(v))
	case "sampled":
		p.SampleAt = s.Now.Add(-l.span(v))
	case "lsn":
		p.FlushLSN, p.ReplayLSN = lsn(l.num(v)), lsn(l.num(v))
	case "tl":
		p.Timeline = postgres.Timeline(l.num(v))
	case "switch":
		p.Switches = append(p.Switches, postgres.Switch{Timeline: p.Timeline - 1, End: lsn(l.num(v)), Reason: "no recovery target specified"})
	case "system":
		p.SystemID = v
	case "pledged":
		p.Pledged = term(l.num(v))
	case "following":
		p.Following = Upstream{Name: v, Conn: "postgres://" + v, Term: term(scriptTerm)}
		if v == "nobody" {
			p.Following = Upstream{Term: term(scriptTerm)}
		}
		if sc := s.Set.StandbyCluster; sc != nil && (v == sc.Host || v == "archive") {
			p.Following = (&decider{s: s.Snapshot, cluster: s.Store.Cluster}).remote()
		}
	case "replay":
		p.Replay = l.num(v) << 20
	case "tail":
		p.Tail = Tail{At: s.Now.Add(-time.Millisecond), Timeline: p.Timeline, Durable: lsn(l.num(v))}
	case "crashes":
		p.Crashes = int(l.num(v))
	case "names":
		p.Names, p.NamesAsked, p.NamesSince, p.NamesSeen = l.names(v), l.names(v), 900, s.Now.Add(-time.Minute)
	case "slots":
		p.Slots = list(v)
	case "rows": // NAME:RESTART[:lost][:active][:logical],…: the slots with their positions
		for _, row := range list(v) {
			slotLine(p, l, row)
		}
	case "slotsync":
		p.SlotSync = true
	case "copied":
		p.SlotsCopied = s.Now.Add(-l.span(v))
	case "hook": // TERM:ok|failed:HOW LONG AGO
		f := strings.Split(v, ":")
		p.Hook = Hook{Term: term(l.num(f[0])), OK: f[1] == "ok", Text: "exit status 1", At: s.Now.Add(-l.span(f[2]))}
	default:
		return false
	}
	return true
}

// standby NAME [gone] [lsn= state=sync]: an attached standby
func standbyLine(s *script, l line) {
	if len(l.words) > 2 && l.words[2] == "away" {
		s.PG.Standbys = slices.DeleteFunc(s.PG.Standbys, func(x syncset.Standby) bool { return x.Name == l.words[1] })
		return
	}
	for i := range s.PG.Standbys {
		sb := &s.PG.Standbys[i]
		if sb.Name != l.words[1] {
			continue
		}
		l.each(2, func(k, v string) bool {
			switch k {
			case "gone":
				sb.Streaming = false
			case "lsn":
				sb.FlushLSN = lsn(l.num(v))
			case "replay":
				sb.ReplayLSN = lsn(l.num(v))
			case "state":
				sb.SyncState = v
			default:
				return false
			}
			return true
		})
	}
}

// fence [off] [unfenced] [term=N] [left=DURATION] [fired=N]
func fenceLine(s *script, l line) {
	l.each(1, func(k, v string) bool {
		switch k {
		case "off":
			s.Fence = Fence{}
		case "unfenced":
			s.Fence.Unfenced, s.Fence.Deadline = true, 0
		case "unarmed":
			s.Fence.Term, s.Fence.Deadline = dcs.Term{}, 0
		case "term":
			s.Fence.Term = term(l.num(v))
		case "left":
			s.Fence.Deadline = s.Now.Add(l.span(v))
		case "fired":
			s.Fence.Fired, s.Fence.Deadline = term(l.num(v)), 0
		default:
			return false
		}
		return true
	})
}

// lease none | [id=N] [left=DURATION]
func leaseLine(s *script, l line) {
	l.each(1, func(k, v string) bool {
		switch k {
		case "none":
			s.Lease = Lease{}
		case "id":
			s.Lease.ID = l.num(v)
		case "left":
			s.Lease.Deadline = s.Now.Add(l.span(v))
			s.Lease.Sent = s.Lease.Deadline.Add(-s.Lease.TTL)
			s.Lease.Tried = s.Lease.Sent
		default:
			return false
		}
		return true
	})
}

func setLine(s *script, l line) {
	l.each(1, func(k, v string) bool {
		c := &s.Set
		switch k {
		case "pause":
			c.Pause = true
		case "sync":
			c.SynchronousMode = dynamic.SyncMode(v)
		case "failsafe":
			c.FailsafeMode = true
		case "strict":
			c.SynchronousModeStrict = true
		case "maxlag": // of a synchronous standby
			c.MaximumLagOnSyncnode = l.num(v)
		case "commit":
			c.PostgreSQL.Parameters = map[string]string{"synchronous_commit": strings.ReplaceAll(v, " ", "_")}
		case "stop_timeout":
			c.PrimaryStopTimeout = l.span(v)
		case "start_timeout":
			c.PrimaryStartTimeout = l.span(v)
		case "lag":
			c.MaximumLagOnFailover = l.num(v)
		case "slots":
			c.PostgreSQL.UseSlots = true
		case "follows": // HOST | archive: the cluster is a standby cluster
			c.StandbyCluster = &dynamic.StandbyCluster{Host: v, PrimarySlotName: "q"}
			if v == "archive" {
				c.StandbyCluster = &dynamic.StandbyCluster{RestoreCommand: "fetch %f %p"}
			}
		case "method": // NAME[:no leader]
			name, _, alone := strings.Cut(v, ":")
			c.PostgreSQL.CreateReplicaMethods = append(c.PostgreSQL.CreateReplicaMethods, name)
			c.PostgreSQL.ReplicaMethods = map[string]map[string]any{name: {"no_leader": alone}}
		case "permanent": // NAME[:logical],…
			c.Slots = map[string]dynamic.Slot{}
			for _, f := range list(v) {
				name, logical := strings.CutSuffix(f, ":logical")
				c.Slots[name] = dynamic.Slot{Type: dynamic.PhysicalSlot}
				if logical {
					c.Slots[name] = dynamic.Slot{Type: dynamic.LogicalSlot, Database: "d", Plugin: "p"}
				}
			}
		case "ignore":
			c.IgnoreSlots = append(c.IgnoreSlots, dynamic.SlotMatcher{Name: v})
		case "member_slots_ttl":
			c.MemberSlotsTTL = l.span(v)
		case "pre_promote":
			c.PostgreSQL.PrePromote = v
		case "norewind":
			c.PostgreSQL.UsePgRewind = false
		default:
			return false
		}
		return true
	})
}

func selfLine(s *script, l line) {
	l.each(1, func(k, v string) bool {
		switch k {
		case "nofailover":
			s.Self.NoFailover = true
		case "from":
			s.Self.ReplicateFrom = v
		case "nostream":
			s.Self.NoStream = true
		case "watchdog": // required, and there is none
			s.Self.WatchdogRequired, s.Self.WatchdogFailed = true, true
		case "nobootstrap":
			s.Self.CanBootstrap = false
		case "priority":
			s.Self.FailoverPriority = int(l.num(v))
		default:
			return false
		}
		return true
	})
}
