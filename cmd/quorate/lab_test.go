package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"quorate/api/etcd3"
	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
	"quorate/internal/solostore"
	"quorate/proxy"
	"quorate/raftstore/dcs"
)

// lab is a cluster as the commands see one: the real store behind its real front end, and the real API of three members. Only what the
// members do with PostgreSQL is left out.
type lab struct {
	keys  dcs.Keys
	db    *dcsclient.Etcd
	url   string // of the store
	nodes []*labNode
	stops []func()

	mu      sync.Mutex // guards changed
	changed chan struct{}
}

// labMember is where a member's PostgreSQL would be. No host of a test is ever connected to but by query, whose script needs none.
var labHosts = map[string]string{"pg1": "10.0.0.1", "pg2": "10.0.0.2", "pg3": "10.0.0.3"}

// newLab starts it: pg1 leads on timeline 5, pg2 streams, pg3 may not be promoted and waits for a restart.
func newLab(dir string) (*lab, error) {
	l := &lab{keys: dcs.NewKeys("", "demo"), changed: make(chan struct{})}
	if err := l.startStore(dir); err != nil {
		return l, err
	}
	for _, name := range []string{"pg1", "pg2", "pg3"} {
		if err := l.startNode(name); err != nil {
			return l, err
		}
	}
	return l, l.fill()
}

// stop ends all, the youngest first.
func (l *lab) stop() {
	for i := len(l.stops) - 1; i >= 0; i-- {
		l.stops[i]()
	}
}

func (l *lab) startStore(dir string) error {
	store, err := solostore.Open(dir)
	if err != nil {
		return err
	}
	l.stops = append(l.stops, func() { store.Close() })
	server, err := etcd3.New(etcd3.Options{Store: store})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(listener, nil) }()
	l.stops = append(l.stops, func() { stopIn(10*time.Second, server.Stop) })
	l.url = "http://" + listener.Addr().String()
	l.db, err = dcsclient.New(dcsclient.Options{Endpoints: []string{l.url}})
	if err == nil {
		l.stops = append(l.stops, func() { l.db.Close() })
	}
	return err
}

// shutOut ends the members' API. The members themselves go on, and do what the keys ask for.
func (l *lab) shutOut() {
	for _, n := range l.nodes {
		stopIn(10*time.Second, n.server.Stop)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stops = append(l.stops, cancel)
	snap, err := l.db.Load(ctx, l.keys.Prefix())
	if err != nil {
		panic(err)
	}
	updates := l.db.Watch(ctx, l.keys.Prefix(), snap.Revision+1)
	go func() {
		for u := range updates {
			for _, e := range u.Events {
				switch e.KV.Key {
				case l.keys.Failover():
					l.nodes[0].Wake()
				case l.keys.Config():
					for _, n := range l.nodes {
						_ = n.tell(map[bool]string{true: `"pause":true`}[strings.Contains(string(e.KV.Value), `"pause":true`)])
					}
				}
			}
		}
	}()
}

func stopIn(d time.Duration, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_ = stop(ctx)
}

func (l *lab) startNode(name string) error {
	n := &labNode{lab: l, name: name, started: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	router, err := l.startRouter(name)
	if err != nil {
		return err
	}
	server, err := rest.New(rest.Options{
		Backend: n, Keys: l.keys, Router: router, Logger: slog.New(slog.DiscardHandler),
		Config: rest.Config{Listen: "127.0.0.1:0", Username: "admin", Password: "hush"},
	})
	if err != nil {
		return err
	}
	if err := server.Start(context.Background()); err != nil {
		return err
	}
	l.stops = append(l.stops, func() { stopIn(10*time.Second, server.Stop) })
	n.url = "http://" + server.Addr().String()
	n.server = server
	l.nodes = append(l.nodes, n)
	return nil
}

// startRouter gives pg2 a router, which knows the other two.
func (l *lab) startRouter(name string) (rest.Router, error) {
	if name != "pg2" {
		return nil, nil
	}
	r, err := proxy.New(proxy.Options{Listeners: []proxy.ListenerOptions{
		{Name: "primary", Listen: "127.0.0.1:0", Rule: proxy.Rule{Target: proxy.TargetPrimary}},
	}})
	if err != nil {
		return nil, err
	}
	if err := r.Start(context.Background()); err != nil {
		return nil, err
	}
	l.stops = append(l.stops, func() { stopIn(10*time.Second, r.Stop) })
	r.Publish(proxy.Table{
		Scope: "demo", Term: proxy.Term{Cluster: 1, Rev: 4}, ValidUntil: boottime.Now().Add(time.Hour),
		Backends: []proxy.Backend{
			{Name: "pg1", Addr: "10.0.0.1:5432", Role: proxy.RolePrimary, Running: true, LagBytes: -1},
			{Name: "pg3", Addr: "10.0.0.3:5432", Role: proxy.RoleReplica, Sync: true, LagBytes: 7},
		},
	})
	return labRouter{r}, nil
}

// labRouter is a router as the API takes one.
type labRouter struct{ *proxy.Router }

func (r labRouter) Status() any   { return r.Router.Status() }
func (r labRouter) Sessions() any { return r.Router.Sessions() }

func (r labRouter) Kill(id string) error {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return rest.ErrNoSession
	}
	if err := r.Router.Kill(n); errors.Is(err, proxy.ErrNoSession) {
		return rest.ErrNoSession
	} else if err != nil {
		return err
	}
	return nil
}

// fill writes what the agents would have written.
func (l *lab) fill() error {
	ops := []dcs.Op{
		dcs.Put(l.keys.Leader(), "pg1", 0),
		dcs.Put(l.keys.Initialize(), labSystemID, 0),
		dcs.Put(l.keys.Config(), `{"ttl":30,"loop_wait":1,"retry_timeout":10,"postgresql":{"parameters":{"max_connections":100}}}`, 0),
		dcs.Put(l.keys.Status(), `{"optime":83886080}`, 0),
		dcs.Put(l.keys.Roster(), `{"pg1":"","pg4":"http://127.0.0.1:1/patroni"}`, 0), // pg4 has no member key
		dcs.Put(l.keys.History(), `[[4,67108864,"no recovery target specified","2026-01-02T03:04:05+00:00","pg1"]]`, 0),
	}
	extra := map[string]string{
		"pg1": `"role":"primary","state":"running"`,
		"pg2": `"role":"replica","state":"running","replication_state":"streaming","xlog_location":83886080,"receive_lsn":83886080,"replay_lsn":81264640`,
		"pg3": `"role":"replica","state":"running","replication_state":"streaming","xlog_location":83886080,"receive_lsn":83886080,"replay_lsn":83886080,` +
			`"tags":{"nofailover":true},"pending_restart":true,"pending_restart_reason":{"max_connections":{"old_value":"100","new_value":"200"}}`,
	}
	for _, n := range l.nodes {
		ops = append(ops, dcs.Put(l.keys.Member(n.name), fmt.Sprintf(`{"conn_url":"postgres://%s:5432/postgres","api_url":"%s/patroni","version":"4.1.4","timeline":5,%s}`,
			labHosts[n.name], n.url, extra[n.name]), 0))
	}
	_, err := l.commit(dcs.Txn{Then: ops})
	return err
}

const labSystemID = "7300000000000000001"

func (l *lab) commit(t dcs.Txn) (bool, error) {
	r, err := l.db.Commit(context.Background(), t)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return r.Succeeded, err
}

func (l *lab) read() (*dcs.Cluster, error) {
	snap, err := l.db.Load(context.Background(), l.keys.Prefix())
	if err != nil {
		return nil, err
	}
	kvs := make([]dcs.KV, len(snap.KVs))
	for i, kv := range snap.KVs {
		kvs[i] = dcs.KV{Key: kv.Key, Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Lease: kv.Lease}
	}
	return dcs.Parse(l.keys, snap.ClusterID, snap.Revision, kvs), nil
}

// labNode is a member: it answers for a PostgreSQL that is not there.
type labNode struct {
	*lab
	name, url string
	server    *rest.Server

	mu        sync.Mutex // guards the fields below
	scheduled *rest.RestartRequest
	creating  int // how many more times the state is shown as creating replica
	taking    int // how many more times a pause is shown as not in effect yet
	started   time.Time
}

func (n *labNode) Status() *rest.NodeStatus {
	c, err := n.read()
	if err != nil {
		return &rest.NodeStatus{Name: n.name, Scope: "demo"}
	}
	s := &rest.NodeStatus{
		Name: n.name, Scope: "demo", Version: "4.1.4",
		Postgres: rest.Postgres{
			State: rest.StateRunning, Role: rest.RoleReplica, Answering: true, Running: true, ServerVersion: 150006, SystemID: labSystemID, Timeline: 5,
		},
		View: rest.ClusterView{
			SeenAt: boottime.Now(), Leader: c.LeaderName(), TTL: 3 * time.Second, LoopWait: time.Second,
			Paused: strings.Contains(string(c.Config), `"pause":true`),
		},
		PauseHolds: n.takesPause(strings.Contains(string(c.Config), `"pause":true`)),
	}
	if c.LeaderName() == n.name {
		s.Postgres.Role = rest.RolePrimary
		s.Lease = rest.Lease{Held: true, ValidUntil: boottime.Now().Add(time.Second), Term: c.Leader.Term}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Postgres.StartedAt = n.started
	switch n.creating {
	case 0:
	case 1:
		n.creating, n.started = 0, n.started.Add(time.Hour)
	default:
		n.creating--
		s.Postgres.State = rest.StateCreatingReplica
	}
	return s
}

// takesPause is a primary's fence: it is without a deadline only some time after the pause was asked for.
func (n *labNode) takesPause(asked bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !asked:
		n.taking = 2
		return false
	case n.name == "pg1" && n.taking > 0:
		n.taking--
		return false
	}
	return true
}

func (n *labNode) Cluster() *dcs.Cluster {
	c, err := n.read()
	if err != nil {
		return nil
	}
	return c
}

func (n *labNode) ClusterChanged() <-chan struct{} {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return n.changed
}

func (n *labNode) ReadCluster(context.Context) (*dcs.Cluster, error) { return n.read() }

func (n *labNode) Commit(_ context.Context, t dcs.Txn) (bool, error) { return n.commit(t) }

// Wake does what is asked for in the store: a switchover that is due.
func (n *labNode) Wake() {
	c, err := n.read()
	if err != nil || c.Failover.IsZero() || c.Failover.ScheduledAt != "" {
		return
	}
	to := c.Failover.Candidate
	if to == "" {
		to = "pg2"
	}
	go func() { // the agent's loop is not the one that answers the request
		_, _ = n.commit(dcs.Txn{Then: []dcs.Op{dcs.Put(n.keys.Leader(), to, 0), dcs.Put(n.keys.Failover(), "{}", 0)}})
	}()
}

func (n *labNode) Restart(context.Context, rest.RestartRequest) error {
	if n.name == "pg3" {
		return rest.ErrRestartFailed
	}
	return nil
}

func (n *labNode) ScheduleRestart(_ context.Context, r rest.RestartRequest) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.scheduled != nil {
		return rest.ErrRestartScheduled
	}
	n.scheduled = &r
	return n.tell(`"scheduled_restart":{"schedule":"` + r.Schedule.Format("2006-01-02T15:04:05-07:00") + `"}`)
}

func (n *labNode) CancelRestart(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.scheduled == nil {
		return rest.ErrNoRestart
	}
	n.scheduled = nil
	return n.tell("")
}

// tell rewrites the member's key with something more in it.
func (n *labNode) tell(more string) error {
	c, err := n.read()
	if err != nil {
		return err
	}
	m, ok := c.Member(n.name)
	if !ok {
		return errors.New("the member has no key")
	}
	value := fmt.Sprintf(`{"conn_url":%q,"api_url":%q,"version":"4.1.4","timeline":5,"role":%q,"state":"running"`, m.ConnURL, m.APIURL, m.Role)
	if more != "" {
		value += "," + more
	}
	_, err = n.commit(dcs.Txn{Then: []dcs.Op{dcs.Put(n.keys.Member(n.name), value+"}", 0)}})
	return err
}

func (n *labNode) Reinitialize(_ context.Context, r rest.ReinitRequest) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.creating > 0 && !r.Force {
		return &rest.BusyError{Operation: "reinitialize"}
	}
	n.creating = 3
	return nil
}

func (n *labNode) Reload(context.Context) error { return nil }

func (n *labNode) Decisions() []rest.DecisionRecord {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	switch n.name {
	case "pg1":
		return []rest.DecisionRecord{{At: at.Add(time.Second), Reason: "promoted", Text: "took the lead", Actions: []string{"acquire", "promote"}}}
	case "pg2":
		return []rest.DecisionRecord{
			{At: at, Reason: "race", Text: "the leader has gone"}, {At: at.Add(time.Second / 2), Reason: "race", Text: "the leader has gone"}, {At: at.Add(2 * time.Second), Reason: "follow", Text: "follows pg1", Actions: []string{"follow"}},
		}
	}
	return nil
}

func (n *labNode) Events(ctx context.Context) <-chan rest.Event { return make(chan rest.Event) }

func (n *labNode) Failsafe(context.Context, rest.FailsafeRequest) (uint64, error) {
	return 0, rest.ErrFailsafeOff
}

func (n *labNode) Pledge(context.Context, rest.PledgeRequest) (rest.PledgeAnswer, error) {
	return rest.PledgeAnswer{}, rest.ErrPledgeRefused
}

func (n *labNode) Probe(_ context.Context, members []dcs.Member) []rest.Candidate {
	out := make([]rest.Candidate, len(members))
	for i, m := range members {
		out[i] = rest.Candidate{Name: m.Name, Reachable: true, NoFailover: m.Tags["nofailover"] == true}
	}
	return out
}
