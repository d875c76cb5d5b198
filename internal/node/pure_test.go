package node

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
	"quorate/proxy"
	"quorate/raftstore/dcs"
)

func emptyKnown() *known {
	return &known{lanes: map[ha.Lane]*lane{}, settings: func([]byte) dynamic.Config { return dynamic.Config{} }}
}

func TestViewNeverGoesBack(t *testing.T) {
	k := emptyKnown()
	for i, c := range []struct {
		e        viewEvent
		rev      int64
		seen     boottime.Instant
		down     bool
		cluster2 uint64
	}{
		{viewEvent{err: errors.New("away")}, 0, 0, true, 0},
		{viewEvent{cluster: &dcs.Cluster{ClusterID: 1, Revision: 5}, seenAt: 10}, 5, 10, false, 1},
		{viewEvent{cluster: &dcs.Cluster{ClusterID: 1, Revision: 4}, seenAt: 20}, 5, 10, false, 1},
		{viewEvent{cluster: &dcs.Cluster{ClusterID: 1, Revision: 6}}, 6, 10, false, 1}, // a watch confirms nothing
		{viewEvent{err: errors.New("away")}, 6, 10, true, 1},
		{viewEvent{cluster: &dcs.Cluster{ClusterID: 2, Revision: 1}, seenAt: 30}, 1, 30, false, 2}, // a restored store
	} {
		c.e.fold(k)
		if k.revision() != c.rev || k.store.SeenAt != c.seen || k.store.Down != c.down {
			t.Errorf("%d: revision %d seen at %d down %v", i, k.revision(), k.store.SeenAt, k.store.Down)
		}
		if c.cluster2 != 0 && k.store.Cluster.ClusterID != c.cluster2 {
			t.Errorf("%d: store %d", i, k.store.Cluster.ClusterID)
		}
	}
}

func TestLeaseOutcomes(t *testing.T) {
	k := emptyKnown()
	k.take(ha.LaneLease)
	leaseEvent{id: 7, ttl: 3 * time.Second, sent: 100}.fold(k)
	if k.lease.ID != 7 || k.lease.Deadline != boottime.Instant(100).Add(3*time.Second) || len(k.busy(0)) != 0 {
		t.Errorf("granted: %+v", k.lease)
	}
	leaseEvent{id: 7, sent: 200, err: errors.New("away")}.fold(k)
	if k.lease.Sent != 100 || k.lease.Tried != 200 {
		t.Errorf("a renewal that failed moved the deadline: %+v", k.lease)
	}
	leaseEvent{id: 6, gone: true, err: errors.New("gone")}.fold(k)
	if k.lease.ID != 7 {
		t.Errorf("another lease's end took this one along")
	}
	leaseEvent{id: 7, gone: true, err: errors.New("gone")}.fold(k)
	if k.lease != (ha.Lease{}) {
		t.Errorf("gone: %+v", k.lease)
	}
}

// An ended commit keeps its lane until its effect is in view, or until it has had time enough.
func TestLaneSettles(t *testing.T) {
	k := emptyKnown()
	k.store.Cluster = &dcs.Cluster{Revision: 5}
	k.take(ha.LaneCommit)
	if !k.busy(0)[ha.LaneCommit] {
		t.Fatal("free while it is in flight")
	}
	k.settle(ha.LaneCommit, 8, 0)
	if !k.busy(1)[ha.LaneCommit] {
		t.Error("free before its effect is in view")
	}
	k.store.Cluster = &dcs.Cluster{Revision: 8}
	if k.busy(2)[ha.LaneCommit] {
		t.Error("busy although its effect is in view")
	}
	k.settle(ha.LaneCommit, 99, 0)
	if k.busy(boottime.Instant(0).Add(settleTime + 1))[ha.LaneCommit] {
		t.Error("busy for ever when the view stands still")
	}
}

func TestFailuresAreCountedByKind(t *testing.T) {
	k := emptyKnown()
	for i, c := range []struct {
		kind string
		err  error
		want ha.OpFailure
	}{
		{"start", errors.New("a"), ha.OpFailure{Action: "start", Text: "a", Count: 1}},
		{"start", errors.New("b"), ha.OpFailure{Action: "start", Text: "b", Count: 2}},
		{"other", nil, ha.OpFailure{Action: "start", Text: "b", Count: 2}},
		{"clone", errors.New("c"), ha.OpFailure{Action: "clone", Text: "c", Count: 1}},
		{"clone", errors.New("d"), ha.OpFailure{Action: "clone", Text: "d", Count: 2}},
		{"rewind", errors.New("e"), ha.OpFailure{Action: "rewind", Text: "e", Count: 1}},
		{"clone", nil, ha.OpFailure{}},
	} {
		e := opEvent{kind: c.kind, err: c.err}
		if c.kind == "clone" {
			e.change = copiedAnew
		}
		e.fold(k)
		if k.pg.Failed != c.want {
			t.Errorf("%d: %+v", i, k.pg.Failed)
		}
	}
}

// The tries to give up one log that fail, on a full disk for instance, are one loss; another log's is another.
func TestALossIsToldOnce(t *testing.T) {
	one := dcs.Loss{Node: "a", Timeline: 2, ForkLSN: 100, EndLSN: 150, Transactions: 2}
	later, other, elsewhere := one, one, one
	later.EndLSN, later.KeptAt = 160, "/kept"
	other.Timeline = 3
	elsewhere.Node = "b"
	var told []dcs.Loss
	fewer := later
	fewer.Transactions = 1
	for _, l := range []dcs.Loss{one, other, elsewhere, fewer} {
		told = withLoss(told, l)
	}
	if want := []dcs.Loss{other, elsewhere, later}; !slices.Equal(told, want) {
		t.Errorf("told: %+v", told)
	}
	for n := range 2 * keptLosses {
		told = withLoss(told, dcs.Loss{Node: "a", Timeline: uint32(10 + n)})
	}
	if len(told) != keptLosses || told[keptLosses-1].Timeline != 9+2*keptLosses {
		t.Errorf("%d losses are kept, the last of timeline %d", len(told), told[len(told)-1].Timeline)
	}
}

// What people are told of a failure is the last operation's: one that succeeded after it, of whatever kind, has taken its place.
func TestFailedOperationIsTold(t *testing.T) {
	k := emptyKnown()
	end := func(op string, err error) string {
		k.opText = op
		opEvent{kind: "other", err: err}.fold(k)
		f := k.failed
		if f == nil {
			return ""
		}
		return fmt.Sprint(f.Kind, " x", f.Count, " ", f.Error)
	}
	for i, c := range []struct {
		op   string
		err  error
		want string
	}{
		{"clone from n2", errors.New("no way\nno password"), "clone from n2 x1 no way; no password"},
		{"clone from n2", errors.New("no route"), "clone from n2 x2 no route"},
		{"clone from n3", errors.New("no route"), "clone from n3 x1 no route"},
		{"start standby of n3", nil, ""},
	} {
		if got := end(c.op, c.err); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
}

// shown is a cluster of three in which n1 leads, as n2 sees it.
func shown() *view {
	c := &dcs.Cluster{
		ClusterID: 9, Revision: 50, Initialize: "1", Leader: &dcs.Leader{Name: "n1", Lease: 1, Term: dcs.Term{Cluster: 9, Rev: 40}}, Status: dcs.Status{Optime: 1000},
		Members: []dcs.Member{
			{Name: "n1", ConnURL: "postgres://10.0.0.1:5432/postgres", State: "running", Role: "primary", XLogLocation: 1100},
			{Name: "n2", ConnURL: "postgres://10.0.0.2/postgres", State: "running", Role: "replica", ReplayLSN: 900, Tags: map[string]any{"noloadbalance": true, "zone": "b"}},
			{Name: "n3", ConnURL: "postgres://10.0.0.3:5433/postgres", State: "stopped", Role: "replica"},
			{Name: "n4", ConnURL: ":", State: "running", Role: "replica"},
		},
		Sync: dcs.Sync{Mod: 3, Leader: "n1", Standbys: []string{"n2"}},
	}
	v := &view{cluster: c, seenAt: 100, ttl: 3 * time.Second, own: true, scope: "demo"}
	v.snap.Self.Name, v.snap.PG.Phase = "n2", ha.Running
	return v
}

func TestRoutingTableRows(t *testing.T) {
	v := shown()
	got := routingTable(v)
	if got.Term != (proxy.Term{Cluster: 9, Rev: 40}) || got.ValidUntil != boottime.Instant(100).Add(3*time.Second) || got.Scope != "demo" {
		t.Errorf("%+v", got)
	}
	if len(got.Backends) != 3 {
		t.Fatalf("%+v", got.Backends)
	}
	n1, n2, n3 := got.Backends[0], got.Backends[1], got.Backends[2]
	if n1.Role != proxy.RolePrimary || !n1.Running || n1.Addr != "10.0.0.1:5432" || n1.LagBytes != 0 {
		t.Errorf("the primary: %+v", n1)
	}
	if n2.Role != proxy.RoleReplica || n2.LagBytes != 200 || !n2.Sync || n2.Zone != "b" || !n2.Tags.NoLoadBalance || n2.Addr != "10.0.0.2:5432" {
		t.Errorf("the replica: %+v", n2)
	}
	if n3.Running || n3.LagBytes != -1 {
		t.Errorf("the stopped one: %+v", n3)
	}
	v.snap.PG.Phase = ha.Stopped
	if b := routingTable(v).Backends[1]; b.Running {
		t.Error("this host's own PostgreSQL has ended, whatever its member key says")
	}
}

func TestFoldSample(t *testing.T) {
	var p ha.PG
	s := instance.Sample{Asked: 5, StatusAt: 5, Status: postgres.Status{SystemID: "1", Timeline: 2, Current: 700, SyncNames: "", Slots: []postgres.Slot{{Name: "a"}, {Name: "b", Logical: true}}}}
	foldSample(&p, s, ha.Running)
	if p.InRecovery || p.FlushLSN != 700 || p.Timeline != 2 || p.SampleAt != 5 || !reflect.DeepEqual(p.Slots, []string{"a"}) {
		t.Errorf("primary: %+v", p)
	}
	p.Switches = []postgres.Switch{{Timeline: 1, End: 600}}
	if foldSample(&p, s, ha.Running); len(p.Switches) != 1 {
		t.Error("what came before the timeline is forgotten although it is still the same")
	}
	s.Status.Timeline = 3
	if foldSample(&p, s, ha.Running); p.Switches != nil {
		t.Error("what came before another timeline is taken for what came before this one: the history key would lose a line")
	}
	s.Asked, s.Err, s.Status.Current = 6, errors.New("timeout"), 800
	foldSample(&p, s, ha.Running)
	if p.SampleAt != 5 || p.FlushLSN != 700 {
		t.Errorf("a look without an answer was taken for one: %+v", p)
	}
	standby := instance.Sample{Asked: 7, StatusAt: 7, Status: postgres.Status{InRecovery: true, SlotSync: true, Received: 650, Replayed: 600, Receiver: &postgres.Receiver{Status: "streaming"}}}
	foldSample(&p, standby, ha.Running)
	if !p.InRecovery || p.FlushLSN != 650 || p.ReplayLSN != 600 || !p.Streaming || p.ReplState != "streaming" || !p.SlotSync {
		t.Errorf("standby: %+v", p)
	}
	foldSample(&p, standby, ha.Stopped)
	if p.Phase != ha.Stopped || p.PhaseSince == 0 {
		t.Errorf("the end: %+v", p)
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	var told int
	h := decisions{sink: func(rest.DecisionRecord) { told++ }}
	for i := range keptDecisions + 10 {
		h.add(time.Unix(int64(i), 0), ha.Reason{Code: "x", Text: "y", GaveUp: "z"}, nil)
	}
	got := h.list()
	if len(got) != keptDecisions || !got[len(got)-1].At.Equal(time.Unix(keptDecisions+9, 0)) || got[0].GaveUp != "z" || told != keptDecisions+10 {
		t.Errorf("%d kept, the last of %v, %d told", len(got), got[len(got)-1].At, told)
	}
	got[0].Text = "changed"
	if h.list()[0].Text != "y" {
		t.Error("the list is not a copy")
	}
}

func TestOutageIsToldOnce(t *testing.T) {
	var j journal
	log := slog.New(slog.NewTextHandler(&j, nil))
	at := boottime.Instant(0)
	away := errors.New("n1: rpc error: code = Unavailable desc = no leader\nn2: refused")
	var o outage
	o.failed(log, at, away)
	o.failed(log, at.Add(time.Second), away)
	if strings.Contains(j.String(), "WARN") || strings.Count(j.String(), "\n") != 1 || strings.Contains(j.String(), "rpc error") {
		t.Errorf("at the start:\n%s", j.String())
	}
	o.failed(log, at.Add(patienceAtStart+1), away)
	o.failed(log, at.Add(patienceAtStart+2), away)
	if strings.Count(j.String(), "WARN") != 1 {
		t.Errorf("a start that lasts:\n%s", j.String())
	}
	o.over(log, at.Add(20*time.Second))
	if !strings.Contains(j.String(), "after=20s") {
		t.Errorf("the end:\n%s", j.String())
	}
	o.failed(log, at.Add(30*time.Second), away)
	if strings.Count(j.String(), "WARN") != 2 {
		t.Errorf("an outage later on is no news to wait with:\n%s", j.String())
	}
}

// The address that others are told is that of the postmaster which runs.
func TestServedAddress(t *testing.T) {
	conf := func(connect string, port int, listen ...string) *config.Config {
		return &config.Config{PostgreSQL: config.PostgreSQL{ConnectAddress: connect, Port: port, Listen: listen}}
	}
	before := conf("10.0.0.1:5432", 5432, "*")
	var none *servedBy
	for i, c := range []struct {
		served *servedBy
		now    *config.Config
		want   string
	}{
		{none, before, "10.0.0.1:5432"},
		{&servedBy{port: 5432, cfg: before}, conf("10.0.0.1:5433", 5433, "*"), "10.0.0.1:5432"},                                         // waits for the restart
		{&servedBy{port: 5433, cfg: before}, conf("10.0.0.1:5433", 5433, "*"), "10.0.0.1:5433"},                                         // which has come
		{&servedBy{port: 5432, cfg: before}, conf("10.0.0.9:6000", 5433, "*"), "10.0.0.9:6000"},                                         // behind a translation of addresses
		{&servedBy{port: 5432, cfg: conf("10.0.0.1:5432", 5432, "10.0.0.1")}, conf("10.0.0.9:5432", 5432, "10.0.0.9"), "10.0.0.1:5432"}, // not listened on yet
		{&servedBy{port: 5432, cfg: before}, conf("10.0.0.9:5432", 5432, "*"), "10.0.0.9:5432"},
		{&servedBy{cfg: before}, conf("10.0.0.1:5433", 5433, "*"), "10.0.0.1:5433"}, // nothing is known of the port
	} {
		if got := c.served.address(c.now); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
}

// A request leaves what the decisions see before its outcome comes in, so that nothing is done twice.
func TestRequestsEndOnce(t *testing.T) {
	var asked ha.Asked
	k := emptyKnown()
	r := newRequests(func(e event) { e.fold(k); asked = k.asked })
	id, done := r.restart()
	k.asked.Restart = &ha.RestartRequest{ID: id}
	r.done(ha.Restart{ID: id + 1}, nil)
	if k.asked.Restart == nil {
		t.Fatal("another restart's end took this request along")
	}
	failed := errors.New("failed")
	r.done(ha.Restart{ID: id}, failed)
	if asked.Restart != nil || <-done != failed {
		t.Error("the request stands after its end, or its error was lost")
	}
	r.reinit()
	k.asked.Reinit = &ha.ReinitRequest{}
	r.done(ha.Clone{}, failed)
	if k.asked.Reinit == nil || !r.mayDiscard() {
		t.Error("a copy that failed ended the request")
	}
	r.done(ha.Clone{}, nil)
	if k.asked.Reinit != nil || r.mayDiscard() {
		t.Error("the request stands after its copy")
	}
}

func TestScheduledRestart(t *testing.T) {
	k := emptyKnown()
	r := newRequests(func(e event) { e.fold(k) })
	later := rest.RestartRequest{Schedule: time.Now().Add(time.Hour)}
	if err := r.schedule(later, func() { t.Error("it came before its time") }); err != nil || r.pending() == nil || len(k.self.ScheduledRestart) == 0 {
		t.Fatalf("%v %v %s", err, r.pending(), k.self.ScheduledRestart)
	}
	if err := r.schedule(later, nil); !errors.Is(err, rest.ErrRestartScheduled) {
		t.Errorf("a second one: %v", err)
	}
	if err := r.unschedule(); err != nil || r.pending() != nil || k.self.ScheduledRestart != nil {
		t.Errorf("%v %v %s", err, r.pending(), k.self.ScheduledRestart)
	}
	if err := r.unschedule(); !errors.Is(err, rest.ErrNoRestart) {
		t.Errorf("none: %v", err)
	}
	due := make(chan struct{})
	if err := r.schedule(rest.RestartRequest{Schedule: time.Now()}, func() { close(due) }); err != nil {
		t.Fatal(err)
	}
	<-due
	if r.pending() != nil {
		t.Error("it is still there when it is due")
	}
}

// TestMemberStatus reads what Patroni 3.0.2 and 4.1 answer, and what we do; a position counts without a pledge.
func TestMemberStatus(t *testing.T) {
	replica := `{"state": "running", "role": "replica", "server_version": 150006, "xlog": {"received_location": 67108960, "replayed_location": 67108864,
		"replayed_timestamp": null, "paused": false}, "timeline": 3, "database_system_identifier": "7001", "tags": {"failover_priority": 2}, "patroni": {"version": "4.1.4"}}`
	got := memberStatus("b", []byte(replica))
	want := candidate.Member{
		Name: "b", Reachable: true, Running: true, SystemID: "7001", Timeline: 3, FlushLSN: 67108960, ReplayLSN: 67108864, Priority: 2,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("a replica is read as %+v", got)
	}
	for body, want := range map[string]candidate.Member{
		`{"state": "running", "role": "master", "xlog": {"location": 16}, "timeline": 1}`: {Name: "b", Reachable: true, Running: true, Primary: true, Timeline: 1, FlushLSN: 16, Priority: 1},
		`{"state": "stopped", "role": "replica", "tags": {"nofailover": true}}`:           {Name: "b", Reachable: true, NoFailover: true, Priority: 1},
		`<html>`: {Name: "b"},
	} {
		if got := memberStatus("b", []byte(body)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v", body, got)
		}
	}
}

// The API tells an operation in place of a decision that only waits for it, and knows such a decision by its words.
func TestTheAPIKnowsWhatWaits(t *testing.T) {
	if !(ha.Reason{Text: rest.InProgress + "; the leader is pg3"}).InProgress() {
		t.Errorf("%q is not how a decision says that it waits for an operation", rest.InProgress)
	}
}
