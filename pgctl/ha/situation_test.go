package ha

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// script is the Snapshot that a case builds, and what it wants to see.
type script struct {
	Snapshot
	shown     bool // the member key's content
	ownMember bool // a's member key is written by a line: it stays as it is
}

const (
	scriptCluster  = 0x4d
	scriptRevision = 100
	scriptTerm     = 50 // of the leader key
	scriptLSN      = 1000
	scriptSystem   = "7001"
)

var leaseOf = map[string]int64{"a": 5, "b": 6, "c": 7}

func term(rev int64) dcs.Term {
	if rev == 0 {
		return dcs.Term{}
	}
	return dcs.Term{Cluster: scriptCluster, Rev: rev}
}

// situation is one to start from.
func situation(t *testing.T, d *datadriven.TestData, name string) script {
	s := script{Snapshot: Snapshot{
		Now: boottime.Instant(1000 * time.Second), Wall: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Self: Self{Name: "a", ConnURL: "postgres://a", APIURL: "http://a", Version: "4.1.4", FailoverPriority: 1, CanBootstrap: true,
			BootstrapConfig: []byte(`{"ttl":3}`)},
		Set: dynamic.Config{
			TTL: 3 * time.Second, LoopWait: time.Second, RetryTimeout: time.Second, MaximumLagOnFailover: 1 << 20, MaximumLagOnSyncnode: -1,
			PrimaryStartTimeout: 300 * time.Second, SynchronousMode: dynamic.SyncOff, SynchronousNodeCount: 1, CheckTimeline: true,
			PostgreSQL: dynamic.PostgreSQL{UsePgRewind: true},
		},
		Keys: dcs.NewKeys("", "s"),
		Busy: map[Lane]bool{},
	}}
	s.Store = Store{SeenAt: s.Now.Add(-100 * time.Millisecond), Cluster: &dcs.Cluster{ClusterID: scriptCluster, Revision: scriptRevision}}
	sent := s.Now.Add(-200 * time.Millisecond)
	s.Lease = Lease{ID: leaseOf["a"], TTL: s.Set.TTL, Sent: sent, Tried: sent, Deadline: sent.Add(s.Set.TTL)}
	s.PG = PG{Folder: FolderEmpty}
	s.Fence = Fence{Connected: true}
	if name == "nothing" {
		s.Store.Cluster, s.Lease = nil, Lease{}
		return s
	}
	if name == "empty" {
		s.Store.Expected = []string{"a", "b", "c"}
		for _, n := range s.Store.Expected {
			s.addMember(dcs.Member{Name: n, Lease: leaseOf[n], State: "stopped", Role: "uninitialized", Folder: "empty", APIURL: "http://" + n})
		}
		return s
	}
	s.founded()
	switch name {
	case "primary":
		s.lead("a")
		s.PG.InRecovery, s.PG.Following, s.PG.Streaming, s.PG.ReplState = false, Upstream{}, false, ""
		s.Fence.Term, s.Fence.Deadline = term(scriptTerm), s.fenceDeadline(term(scriptTerm))
		s.Mem.Acquired, s.Mem.Promoted = term(scriptTerm), term(scriptTerm)
		for _, n := range []string{"b", "c"} {
			s.PG.Standbys = append(s.PG.Standbys, syncset.Standby{Name: n, Streaming: true, SyncState: "async", FlushLSN: scriptLSN})
		}
	case "standby":
		s.lead("b")
	case "unlocked":
		s.lead("b")
		s.unlock()
	default:
		d.Fatalf(t, "no such situation: %s", name)
	}
	return s
}

// founded is a cluster of three with data, whose a is a standby.
func (s *script) founded() {
	c := s.Store.Cluster
	c.Initialize, c.InitializeRev, c.Config, c.ConfigRev, c.HistRev, c.RosterRev = scriptSystem, 10, []byte(`{"ttl":3}`), 11, 12, 13
	c.History = []dcs.HistoryLine{}
	c.Status = dcs.Status{Optime: scriptLSN, Mod: 90}
	c.Roster = map[string]string{}
	for _, n := range []string{"a", "b", "c"} {
		c.Roster[n] = "http://" + n
		s.addMember(dcs.Member{
			Name: n, Lease: leaseOf[n], Mod: 80, State: "running", Role: "replica", Folder: "data", ConnURL: "postgres://" + n, APIURL: "http://" + n,
			SystemID: scriptSystem, Timeline: 1, XLogLocation: scriptLSN, ReceiveLSN: scriptLSN, ReplayLSN: scriptLSN,
		})
	}
	s.PG = PG{
		Folder: FolderData, Phase: Running, PhaseSince: s.Now.Add(-time.Hour), InRecovery: true, SampleAt: s.Now.Add(-100 * time.Millisecond), SystemID: scriptSystem,
		Timeline: 1, FlushLSN: scriptLSN, ReplayLSN: scriptLSN, Streaming: true, ReplState: "streaming",
		Following: Upstream{Name: "b", Conn: "postgres://b", Term: term(scriptTerm)},
	}
}

func (s *script) addMember(m dcs.Member) {
	c := s.Store.Cluster
	c.Members = slices.DeleteFunc(c.Members, func(x dcs.Member) bool { return x.Name == m.Name })
	c.Members = append(c.Members, m)
	slices.SortFunc(c.Members, func(x, y dcs.Member) int { return strings.Compare(x.Name, y.Name) })
}

func (s *script) member(name string) dcs.Member {
	m, ok := s.Store.Cluster.Member(name)
	if !ok {
		m = dcs.Member{Name: name, Lease: leaseOf[name], State: "running", Role: "replica", Folder: "data", ConnURL: "postgres://" + name, APIURL: "http://" + name, SystemID: scriptSystem}
	}
	return m
}

func (s *script) lead(name string) {
	s.Store.Cluster.Leader = &dcs.Leader{Name: name, Lease: leaseOf[name], Term: term(scriptTerm), Mod: scriptTerm}
	m := s.member(name)
	m.Role = "primary"
	s.addMember(m)
	s.Mem.Leader, s.Mem.Term = name, term(scriptTerm)
}

// unlock lets the leader's lease end: its key and its member key went in revision 99, which a saw 300 ms ago.
func (s *script) unlock() {
	c := s.Store.Cluster
	gone := c.Leader.Name
	c.Leader = nil
	c.Members = slices.DeleteFunc(c.Members, func(m dcs.Member) bool { return m.Name == gone })
	s.Mem.GoneAt, s.Mem.GoneRev, s.Mem.RaceSince = s.Now.Add(-300*time.Millisecond), scriptRevision-1, s.Now.Add(-300*time.Millisecond)
}

// finish makes a's member key say what it should, unless the case wrote it.
func (s *script) finish() {
	c := s.Store.Cluster
	if c == nil || s.ownMember || s.Lease.ID == 0 {
		return
	}
	if _, ok := c.Member("a"); !ok {
		return
	}
	d := &decider{s: s.Snapshot, mem: s.Mem, cluster: c}
	m := d.member()
	m.Name, m.Lease, m.Mod = "a", s.Lease.ID, 80
	s.addMember(m)
}

func lsn(n int64) postgres.LSN { return postgres.LSN(n) }
