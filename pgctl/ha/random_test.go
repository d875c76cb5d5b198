package ha

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// world is a random snapshot whose cluster is a set of keys.
type world struct {
	r   *rand.Rand
	s   Snapshot
	kvs map[string]dcs.KV // nil: never read
	rev int64
}

func randomSnapshot(seed uint64) Snapshot { return randomWorld(seed).snapshot() }

func (w *world) snapshot() Snapshot {
	s := w.s
	if w.kvs != nil {
		kvs := slices.SortedFunc(maps.Values(w.kvs), func(a, b dcs.KV) int { return strings.Compare(a.Key, b.Key) })
		s.Store.Cluster = dcs.Parse(s.Keys, scriptCluster, w.rev, kvs)
	}
	return s
}

func (w *world) chance(p float64) bool { return w.r.Float64() < p }

// when is a moment up to four seconds from now, either way.
func (w *world) when() boottime.Instant {
	return w.s.Now.Add(time.Duration(w.r.Int64N(int64(8*time.Second))) - 4*time.Second)
}

func (w *world) term() dcs.Term {
	return term(pick[int64](w.r, 0, scriptTerm, scriptTerm, scriptTerm, 45, 99))
}

// randomWorld makes a snapshot; the small numbers of values make them meet each other often.
func randomWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 7)), rev: scriptRevision}
	w.s = Snapshot{
		Now: boottime.Instant(1000 * time.Second), Wall: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Keys: dcs.NewKeys("", "s"), Busy: map[Lane]bool{},
		Self: Self{Name: "a", ConnURL: "postgres://a", APIURL: "http://a", Version: "4.1.4", NoFailover: w.chance(0.1), FailoverPriority: 1,
			CanBootstrap: w.chance(0.9), BootstrapConfig: []byte(`{"ttl":3}`)},
	}
	w.settings()
	w.local()
	w.memory()
	if w.chance(0.97) {
		w.kvs = map[string]dcs.KV{}
		w.clusterKeys()
		w.members()
	}
	w.topology(seed)
	w.more(seed)
	for _, l := range []Lane{LaneLease, LaneCommit, LaneMember, LaneStatus, LaneFence, LaneKill, LanePG, LanePeers, LaneExit} {
		if w.chance(0.1) {
			w.s.Busy[l] = true
		}
	}
	return w
}

// more draws from a sequence of its own, so that what is added here leaves all the rest as it was.
func (w *world) more(seed uint64) {
	own := *w
	own.r = rand.New(rand.NewPCG(seed, 11))
	w.hooks(&own)
	w.slots(&own)
	own.r = rand.New(rand.NewPCG(seed, 12))
	w.logicalSlots(&own)
}

func (w *world) logicalSlots(own *world) {
	s := &w.s
	s.PG.SlotSync = own.chance(0.1)
	if own.chance(0.2) {
		s.PG.SlotsCopied = min(own.when(), s.Now)
	}
	if w.kvs != nil && s.Set.Slots != nil && own.chance(0.5) {
		s.Set.PostgreSQL.UseSlots = true
		delete(s.PG.SlotRows, "l")
		s.PG.Streaming, s.PG.Following, s.PG.Pledged, s.PG.SampleAt = true, Upstream{Name: "b", Conn: "postgres://b", Term: term(scriptTerm)}, dcs.Term{}, s.Now
		w.put(s.Keys.Status(), `{"optime":1000,"slots":{"a":1000,"b":900,"p":900,"l":800}}`, 90, 90, 0)
	}
	for n, row := range s.PG.SlotRows {
		row.HoldsXmin = n == "b"
		s.PG.SlotRows[n] = row
	}
}

func (w *world) slots(own *world) {
	s := &w.s
	if own.chance(0.5) {
		s.Set.Slots = map[string]dynamic.Slot{"p": {Type: dynamic.PhysicalSlot}, "l": {Type: dynamic.LogicalSlot, Database: "d", Plugin: "p"}}
	}
	s.Set.MemberSlotsTTL = pick(own.r, 0, time.Second, time.Hour)
	s.PG.SlotRows = map[string]postgres.Slot{}
	for _, n := range []string{"a", "b", "c", "p", "l", "mine"} {
		if own.chance(0.5) {
			s.PG.SlotRows[n] = postgres.Slot{Name: n, Logical: n == "l", Active: own.chance(0.3), Restart: own.lsn(), WALStatus: pick(own.r, "reserved", "lost")}
		}
	}
	if w.kvs != nil && own.chance(0.5) {
		w.put(s.Keys.Status(), `{"optime":1000,"slots":{"a":1000,"b":900,"p":900}}`, 90, 90, 0)
	}
	if own.chance(0.1) {
		s.Busy[LaneSlots] = true
	}
}

func (w *world) hooks(own *world) {
	s := &w.s
	s.Set.PostgreSQL.PrePromote = pick(own.r, "", "true")
	if own.chance(0.3) {
		s.PG.Hook = Hook{Term: own.term(), OK: own.chance(0.5), Text: "no luck", At: min(own.when(), s.Now)}
	}
	if w.kvs == nil || !own.chance(0.02) {
		return
	}
	s.PG.Failed = OpFailure{Action: "bootstrap", Text: "no luck", Count: 1, At: min(own.when(), s.Now)}
	w.put(s.Keys.Leader(), "a", scriptTerm, scriptTerm, leaseOf["a"])
	w.put(s.Keys.Initialize(), "", 10, 10, leaseOf["a"])
}

func (w *world) settings() {
	w.s.Set = dynamic.Config{
		TTL: pick(w.r, 3*time.Second, 30*time.Second), LoopWait: time.Second, RetryTimeout: time.Second, MaximumLagOnFailover: pick[int64](w.r, 50, 1<<20),
		MaximumLagOnSyncnode: -1, PrimaryStartTimeout: pick(w.r, 0, 2*time.Second, 300*time.Second), SynchronousMode: pick(w.r, dynamic.SyncOff, dynamic.SyncOn, dynamic.SyncQuorum),
		SynchronousNodeCount: 1, SynchronousModeStrict: w.chance(0.2), CheckTimeline: w.chance(0.5), Pause: w.chance(0.15), FailsafeMode: w.chance(0.3),
		PostgreSQL: dynamic.PostgreSQL{UsePgRewind: w.chance(0.8), UseSlots: w.chance(0.5)},
	}
	w.s.Asked = Asked{Stop: w.chance(0.1)}
	if w.chance(0.1) {
		w.s.Asked.Restart = &RestartRequest{ID: 1}
	}
	if w.chance(0.1) {
		w.s.Asked.Reinit = &ReinitRequest{ID: 1}
	}
	w.s.Store = Store{SeenAt: w.when(), Down: w.chance(0.2), Expected: []string{"a", "b"}, ExpectMore: w.chance(0.1)}
}

func (w *world) local() {
	s := &w.s
	if w.chance(0.9) {
		sent := s.Now.Add(-time.Duration(w.r.Int64N(int64(4 * time.Second))))
		s.Lease = Lease{ID: leaseOf["a"], TTL: s.Set.TTL, Sent: sent, Tried: sent, Deadline: sent.Add(s.Set.TTL)}
	}
	s.Fence = Fence{Connected: w.chance(0.9), Term: w.term(), Fired: pick(w.r, dcs.Term{}, dcs.Term{}, w.term())}
	switch {
	case w.chance(0.1):
		s.Fence.Unfenced = true
	case w.chance(0.7):
		s.Fence.Deadline = w.when()
	}
	if w.chance(0.3) {
		s.Failsafe = Failsafe{Term: w.term(), Sent: min(w.when(), s.Now), TTL: s.Set.TTL, All: w.chance(0.7), Why: "c does not answer"}
	}
	if w.chance(0.1) {
		s.Promise = Promise{To: pick(w.r, "a", "b"), Conn: "postgres://b", Until: w.when()}
	}
	p := &s.PG
	*p = PG{
		Folder: pick(w.r, FolderData, FolderData, FolderData, FolderData, FolderEmpty, FolderUnknown, FolderBad, FolderBroken), Problem: "a problem",
		Phase: pick(w.r, Stopped, Starting, Running, Running), PhaseSince: w.when(), InRecovery: w.chance(0.5), WasPrimary: w.chance(0.5), Clean: w.chance(0.5),
		SampleAt: min(w.when(), s.Now), SystemID: pick(w.r, scriptSystem, scriptSystem, scriptSystem, scriptSystem, scriptSystem, "", "9999"),
		Timeline: postgres.Timeline(pick(w.r, 1, 1, 2)), FlushLSN: w.lsn(), ReplayLSN: w.lsn(), EndLSN: w.lsn(), Disk: pick(w.r, "", "", dcs.DiskLow, dcs.DiskFull), Streaming: w.chance(0.5),
		Replay: pick[int64](w.r, 0, 0, 1<<30), Tail: Tail{At: pick(w.r, 0, w.when()), Timeline: 1, Durable: w.lsn()},
		Pledged: w.term(), Crashes: w.r.IntN(4), NamesSince: w.lsn(), Checkpointing: w.chance(0.2), Names: w.names(), NamesAsked: w.names(),
		Following: Upstream{Name: pick(w.r, "b", "c", ""), Conn: "postgres://b", Term: w.term()},
	}
	if p.Folder != FolderData && w.chance(0.9) {
		p.Phase = Stopped
	}
	if p.Timeline > 1 {
		p.Switches = []postgres.Switch{{Timeline: 1, End: 900, Reason: "no recovery target specified"}}
	}
	if w.chance(0.3) {
		p.Checked = Check{Term: w.term(), Done: w.chance(0.8), Diverged: w.chance(0.5), Fork: 900, At: min(w.when(), s.Now)}
	}
	if w.chance(0.2) {
		p.Failed = OpFailure{Action: pick(w.r, "start", "promote", "initdb", "rewind", "clone"), Text: "no luck", Count: 1 + w.r.IntN(4), At: min(w.when(), s.Now)}
	}
	for _, n := range []string{"b", "c"} {
		if w.chance(0.6) {
			p.Standbys = append(p.Standbys, syncset.Standby{Name: n, Streaming: w.chance(0.9), SyncState: pick(w.r, "async", "sync", "quorum"), FlushLSN: w.lsn()})
		}
	}
}

func (w *world) lsn() postgres.LSN { return postgres.LSN(pick(w.r, 0, 900, 1000, 1000, 1000, 1100)) }

func (w *world) names() postgres.SyncNames {
	return pick(w.r, postgres.SyncNames{}, postgres.SyncNames{Num: 1, Names: []string{"b"}}, postgres.SyncNames{Method: postgres.SyncAny, Num: 1, Names: []string{"b", "c"}})
}

func (w *world) memory() {
	m := &w.s.Mem
	if w.chance(0.1) {
		return
	}
	*m = Memory{
		Leader: pick(w.r, "", "a", "b"), Term: w.term(), Acquired: w.term(), MemberAt: min(w.when(), w.s.Now), StatusAt: min(w.when(), w.s.Now),
		SeenMember: w.chance(0.5),
	}
	m.Promoted = pick(w.r, dcs.Term{}, m.Acquired) // only what was taken is promoted for
	if w.chance(0.6) {
		m.GoneRev, m.GoneAt, m.RaceSince = pick[int64](w.r, 99, 99, 60), min(w.when(), w.s.Now), min(w.when(), w.s.Now)
	}
	if w.chance(0.2) {
		m.StartCopy = w.chance(0.5)
		m.Handover = Handover{Term: w.term(), To: pick(w.r, "", "b"), Reason: "switchover", Since: min(w.when(), w.s.Now), Stage: w.r.IntN(4)}
	}
	w.s.Race = Race{Target: pick(w.r, term(m.GoneRev), term(m.GoneRev), term(m.GoneRev), dcs.Term{}), AskedAt: min(w.when(), w.s.Now), Done: w.chance(0.8), Answers: map[string]candidate.Member{}}
	for _, n := range []string{"b", "c"} {
		w.s.Race.Answers[n] = candidate.Member{
			Name: n, Reachable: w.chance(0.7), SystemID: pick(w.r, "", scriptSystem, scriptSystem, scriptSystem, "9999"), Running: w.chance(0.9), Primary: w.chance(0.1),
			Timeline: postgres.Timeline(pick(w.r, 1, 1, 2)), FlushLSN: w.lsn(), ReplayLSN: w.lsn(), Pledged: pick(w.r, w.s.Race.Target, w.term()), Priority: w.r.IntN(3), CanPledge: w.chance(0.9),
		}
	}
}

func (w *world) put(key, value string, created, mod, lease int64) {
	w.kvs[key] = dcs.KV{Key: key, Value: []byte(value), CreateRevision: created, ModRevision: mod, Lease: lease}
}

func (w *world) clusterKeys() {
	k := w.s.Keys
	if w.chance(0.7) {
		name := pick(w.r, "a", "a", "b", "c")
		w.put(k.Leader(), name, scriptTerm, scriptTerm, pick(w.r, leaseOf[name], leaseOf[name], leaseOf[name], 4))
	}
	switch {
	case w.chance(0.8):
		w.put(k.Initialize(), scriptSystem, 10, 10, 0)
	case w.chance(0.5):
		w.put(k.Initialize(), "", 10, 10, pick(w.r, leaseOf["a"], leaseOf["b"]))
	}
	some := func(p float64, key, value string, mod int64) {
		if w.chance(p) {
			w.put(key, value, mod, mod, 0)
		}
	}
	some(0.9, k.Config(), `{"ttl":3}`, 11)
	some(0.9, k.History(), pick(w.r, `[]`, `[[1,900,"no recovery target specified"]]`), 12)
	some(0.9, k.Roster(), pick(w.r, `{"a":"http://a","b":"http://b","c":"http://c"}`, `{"a":"http://a"}`), 13)
	some(0.9, k.Status(), pick(w.r, `{"optime":1000}`, `{"optime":1100}`), 90)
	some(0.5, k.Sync(), dcs.Sync{Leader: pick(w.r, "a", "b"), Quorum: w.r.IntN(2), Standbys: pick(w.r, nil, []string{"a"}, []string{"b"}, []string{"b", "c"})}.Encode(), 40)
	some(0.3, k.Failover(), dcs.Encode(dcs.Failover{Leader: pick(w.r, "", "a", "b"), Candidate: pick(w.r, "", "a", "b", "c"), ScheduledAt: pick(w.r, "", "", "2030-01-02T03:04:06Z", "2029-01-01T00:00:00Z", "soon")}), 95)
	some(0.3, k.Released(), dcs.Encode(dcs.Released{Term: w.term(), From: pick(w.r, "a", "b"), To: pick(w.r, "", "a", "b"), LSN: uint64(w.lsn())}), 99)
	some(0.2, k.Failsafe(), pick(w.r, `{"a":"http://a","b":"http://b","c":"http://c"}`, `{"b":"http://b"}`, `{`), 70)
	unfenced := 0.15
	if w.s.Set.Pause {
		unfenced = 0.6
	}
	some(unfenced, k.Unfenced(), dcs.Encode(dcs.Unfenced{Node: pick(w.r, "a", "b"), Term: w.term()}), 60)
}

func (w *world) members() {
	for _, n := range []string{"a", "b", "c"} {
		if w.chance(0.2) {
			continue
		}
		m := dcs.Member{
			ConnURL: pick(w.r, "postgres://"+n, "postgres://"+n, ""), APIURL: "http://" + n, Disk: pick(w.r, "", "", dcs.DiskLow, dcs.DiskFull), State: pick(w.r, "running", "running", "stopped", "starting"),
			Role: pick(w.r, "replica", "replica", "primary", "uninitialized", "promoted"), Version: "4.1.4", Folder: pick(w.r, "data", "data", "data", "empty", "unknown", ""),
			SystemID: pick(w.r, scriptSystem, scriptSystem, scriptSystem, "", "9999"), Timeline: uint32(pick(w.r, 0, 1, 1, 2)), XLogLocation: int64(w.lsn()),
			Tags: pick(w.r, nil, nil, map[string]any{"nofailover": true}, map[string]any{"clonefrom": true}, map[string]any{"nosync": true, "clonefrom": "maybe"}),
		}
		w.put(w.s.Keys.Member(n), dcs.Encode(m), 80, 80, leaseOf[n])
	}
}
