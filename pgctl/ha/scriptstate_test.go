package ha

import (
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// key initialize|config|history|roster|status|sync|failover|released|unfenced …: a key of the store; none takes it away
func keyLine(s *script, l line) {
	c := s.Store.Cluster
	none := len(l.words) > 2 && l.words[2] == "none"
	get := func(k string) string { v := l.kv[k]; return v }
	num := func(k string) int64 {
		if l.kv[k] == "" {
			return 0
		}
		return l.num(l.kv[k])
	}
	switch l.words[1] {
	case "initialize":
		c.Initialize, c.InitializeRev, c.InitializeLease = get("system"), 10, num("lease")
		if none {
			c.InitializeRev = 0
		}
	case "config":
		c.Config, c.ConfigRev = nil, 0
	case "history":
		c.History, c.HistRev = []dcs.HistoryLine{}, 12
		if none {
			c.HistRev = 0
		}
		if tl := num("tl"); tl > 1 {
			c.History = []dcs.HistoryLine{{Timeline: uint32(tl - 1), LSN: 500, Reason: "no recovery target specified"}}
		}
	case "roster":
		c.Roster, c.RosterRev = map[string]string{}, 13
		for _, n := range l.words[2:] {
			c.Roster[n] = "http://" + n
		}
	case "status": // optime=N slots=NAME:POSITION,…
		c.Status.Optime = num("optime")
		c.Status.Slots = slotsAt(l, get("slots"))
		c.Status.RetainSlots = list(get("retain"))
		if get("mod") != "" {
			c.Status.Mod = num("mod")
		}
	case "sync":
		c.Sync = dcs.Sync{Leader: get("leader"), Quorum: int(num("quorum")), Standbys: list(get("standbys")), Mod: 40}
	case "failover":
		c.Failover = dcs.Failover{Leader: get("leader"), Candidate: get("member"), ScheduledAt: get("at"), Mod: 95}
		if in := get("in"); in != "" {
			c.Failover.ScheduledAt = s.Wall.Add(l.span(in)).Format(time.RFC3339Nano)
		}
	case "released":
		c.Released = &dcs.Released{Term: term(num("term")), From: get("from"), To: get("to"), LSN: uint64(num("lsn"))}
		c.ReleasedRev = 97
	case "failsafe":
		c.Failsafe, c.FailsafeRev = map[string]string{}, 70
		for _, n := range list(get("list")) {
			c.Failsafe[n] = "http://" + n
		}
	case "unfenced":
		c.Unfenced, c.UnfencedRev = &dcs.Unfenced{Node: get("node"), Term: term(num("term"))}, 98
	default:
		l.fail("no such key")
	}
}

// slotsAt reads NAME:POSITION,…; nil for none.
func slotsAt(l line, text string) map[string]int64 {
	var out map[string]int64
	for _, f := range list(text) {
		n, pos, _ := strings.Cut(f, ":")
		if out == nil {
			out = map[string]int64{}
		}
		out[n] = l.num(pos)
	}
	return out
}

// race [pending] [positions] NAME=TIMELINE:POSITION[:flags] or NAME=unreached: the answers of a race that was asked for the
// term that is over
func raceLine(s *script, l line) {
	s.Race = Race{Target: term(s.Mem.GoneRev), Done: true, AskedAt: s.Now.Add(-100 * time.Millisecond), Answers: map[string]candidate.Member{}}
	l.each(1, func(k, v string) bool {
		switch {
		case k == "pending":
			s.Race.Done = false
		case k == "done":
		case k == "positions": // nobody was asked for a pledge
			s.Race.Target = dcs.Term{}
		case k == "old":
			s.Race.Target = term(s.Mem.GoneRev - 10)
		case v == "unreached":
			s.Race.Answers[k] = candidate.Member{Name: k}
		default:
			s.Race.Answers[k] = parseAnswer(s, l, k, v)
		}
		return true
	})
}

func parseAnswer(s *script, l line, name, v string) candidate.Member {
	f := strings.Split(v, ":")
	if len(f) < 2 {
		l.fail("an answer is TIMELINE:POSITION")
	}
	a := candidate.Member{
		Name: name, Reachable: true, Running: true, SystemID: scriptSystem, Priority: 1, CanPledge: true, Pledged: s.Race.Target,
		FlushLSN: lsn(l.num(f[1])), ReplayLSN: lsn(l.num(f[1])),
	}
	a.Timeline = postgres.Timeline(l.num(f[0]))
	for _, flag := range f[2:] {
		switch flag {
		case "primary":
			a.Primary = true
		case "nofailover":
			a.NoFailover = true
		case "watchdog":
			a.WatchdogFailed = true
		case "down":
			a.Running = false
		case "other":
			a.SystemID = "9999"
		case "first":
			a.Priority = 2
		case "unpledged":
			a.Pledged = dcs.Term{}
		default:
			l.fail("what is %s?", flag)
		}
	}
	return a
}

// failsafe [term=N] [sent=DURATION ago] [at=NAME:POSITION,…] all | why=TEXT: what the members answered to this primary
func failsafeLine(s *script, l line) {
	s.Failsafe = Failsafe{Term: s.Fence.Term, Sent: s.Now.Add(-100 * time.Millisecond), TTL: s.Set.TTL}
	l.each(1, func(k, v string) bool {
		switch k {
		case "all":
			s.Failsafe.All = true
		case "why":
			s.Failsafe.Why = v
		case "term":
			s.Failsafe.Term = term(l.num(v))
		case "sent":
			s.Failsafe.Sent = s.Now.Add(-l.span(v))
		case "at":
			s.Failsafe.LSNs = map[string]postgres.LSN{}
			for n, pos := range slotsAt(l, v) {
				s.Failsafe.LSNs[n] = postgres.LSN(pos)
			}
		default:
			return false
		}
		return true
	})
}

// promise to=NAME until=DURATION from now [slots=NAME:POSITION,…]
func promiseLine(s *script, l line) {
	s.SafeSlots = SafeSlots{At: s.Now.Add(-50 * time.Millisecond), Positions: slotsAt(l, l.kv["slots"])}
	s.Promise = Promise{To: l.kv["to"], Conn: "postgres://" + l.kv["to"], Until: s.Now.Add(l.span(l.kv["until"]))}
}

func memLine(s *script, l line) {
	l.each(1, func(k, v string) bool {
		switch k {
		case "fresh":
			s.Mem = Memory{}
		case "acquired":
			s.Mem.Acquired = term(l.num(v))
		case "start_copy":
			s.Mem.StartCopy = true
		case "start_limit":
			s.Mem.StartLimit = l.span(v)
		case "promoted":
			s.Mem.Promoted = term(l.num(v))
		case "opened":
			s.Mem.PromotedAt = s.Now.Add(-l.span(v))
		case "racing":
			s.Mem.RaceSince = s.Now.Add(-l.span(v))
		case "gone":
			s.Mem.GoneAt = s.Now.Add(-l.span(v))
		case "slotgone": // NAME:HOW LONG
			n, since, _ := strings.Cut(v, ":")
			s.Mem.SlotGone = map[string]boottime.Instant{n: s.Now.Add(-l.span(since))}
		case "leaving":
			s.Mem.LeavingSync = s.Now.Add(-l.span(v))
		case "doubt":
			s.Mem.SyncInDoubt = true
		case "standby": // the term in which it led a standby cluster
			s.Mem.StandbyTerm = term(l.num(v))
		case "gonerev":
			s.Mem.GoneRev = l.num(v)
		case "leader":
			s.Mem.Leader = v
		case "term":
			s.Mem.Term = term(l.num(v))
		case "lease":
			s.Mem.Lease = l.num(v)
		default:
			return false
		}
		return true
	})
}

func askedLine(s *script, l line) {
	l.each(1, func(k, _ string) bool {
		switch k {
		case "stop":
			s.Asked.Stop = true
		case "restart":
			s.Asked.Restart = &RestartRequest{ID: 1}
		case "reinit":
			s.Asked.Reinit = &ReinitRequest{ID: 1}
		default:
			return false
		}
		return true
	})
}

func storeLine(s *script, l line) {
	l.each(1, func(k, v string) bool {
		switch k {
		case "down":
			s.Store.Down = true
		case "more":
			s.Store.ExpectMore = true
		case "seen":
			s.Store.SeenAt = s.Now.Add(-l.span(v))
		case "expected":
			s.Store.Expected = list(v)
		default:
			return false
		}
		return true
	})
}

// checked [same|diverged] [fork=N] [term=N]: the last comparison with the leader's history
func checkedLine(s *script, l line) {
	s.PG.Checked = Check{Term: term(scriptTerm), Done: true, At: s.Now.Add(-time.Second)}
	l.each(1, func(k, v string) bool {
		c := &s.PG.Checked
		switch k {
		case "same":
		case "unreached":
			c.Done, c.Error = false, "no route"
		case "diverged":
			c.Diverged, c.Fork, c.End = true, 900, s.PG.FlushLSN
		case "term":
			c.Term = term(l.num(v))
		case "ago":
			c.At = s.Now.Add(-l.span(v))
		default:
			return false
		}
		return true
	})
}

// failed ACTION count=N ago=DURATION: the last operation that failed
func failedLine(s *script, l line) {
	s.PG.Failed = OpFailure{Action: l.words[1], Text: "no luck", Count: 1, At: s.Now.Add(-time.Minute)}
	l.each(2, func(k, v string) bool {
		switch k {
		case "count":
			s.PG.Failed.Count = int(l.num(v))
		case "ago":
			s.PG.Failed.At = s.Now.Add(-l.span(v))
		default:
			return false
		}
		return true
	})
}

// handover to=NAME stage=N since=DURATION: a lead that is being given up
func handoverLine(s *script, l line) {
	s.Mem.Handover = Handover{Term: term(scriptTerm), To: l.kv["to"], Reason: "switchover", Since: s.Now.Add(-time.Second)}
	l.each(1, func(k, v string) bool {
		switch k {
		case "to":
		case "stage":
			s.Mem.Handover.Stage = int(l.num(v))
		case "since":
			s.Mem.Handover.Since = s.Now.Add(-l.span(v))
		default:
			return false
		}
		return true
	})
}
