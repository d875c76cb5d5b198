package rest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

// memory is a node in memory: its store is a map of keys with revisions and real compares, and its status is what the test
// published. What a test wants to differ it sets as a func field.
type memory struct {
	keys dcs.Keys

	mu      sync.Mutex
	kvs     map[string]dcs.KV
	rev     int64
	status  *NodeStatus
	down    error // the store cannot be reached
	changed chan struct{}
	woken   int

	onWake       func(*memory)
	restart      func(RestartRequest) error
	schedule     func(RestartRequest) error
	cancel       func() error
	reinitialize func(ReinitRequest) error
	failsafe     func(FailsafeRequest) (uint64, error)
	pledge       func(PledgeRequest) (PledgeAnswer, error)
	limits       map[string]Candidate
	events       chan Event
	decisions    []DecisionRecord
	reloads      int
	cut          atomic.Bool // a restart's context ended before the restart
}

const second = boottime.Instant(time.Second)

// moment is the tests' present.
const moment = 1000 * second

func newMemory() *memory {
	return &memory{
		keys: dcs.NewKeys("", "demo"), kvs: map[string]dcs.KV{}, changed: make(chan struct{}), status: replicaStatus(),
		events: make(chan Event, 16),
	}
}

// replicaStatus is a healthy standby with a fresh view.
func replicaStatus() *NodeStatus {
	return &NodeStatus{
		Name: "n1", Scope: "demo", Version: "4.1.4",
		Postgres: Postgres{
			State: StateRunning, Role: RoleReplica, Answering: true, Running: true, ServerVersion: 150006, SystemID: "7300000000000000001",
			StartedAt: time.Date(2026, 11, 23, 6, 0, 0, 123456000, time.UTC), Timeline: 3,
			Received: 1000, Replayed: 900, ReplicationState: "streaming",
		},
		View: ClusterView{
			SeenAt: moment - second, LastSeen: time.Date(2026, 11, 23, 6, 30, 0, 0, time.UTC), Leader: "n2", Optime: 1000,
			MaxLag: 1 << 20, TTL: 3 * time.Second, LoopWait: time.Second,
		},
		Loop: Loop{Last: moment - second, Next: moment},
	}
}

// primaryStatus is a healthy primary with a valid lease.
func primaryStatus() *NodeStatus {
	s := replicaStatus()
	s.Postgres.Role, s.Postgres.Location, s.Postgres.ReplicationState = RolePrimary, 5000, ""
	s.Lease = Lease{Held: true, ValidUntil: moment + second, Term: dcs.Term{Cluster: 7, Rev: 4}}
	s.View.Leader = "n1"
	return s
}

// put writes a key as another node would.
func (m *memory) put(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rev++
	m.apply(dcs.Put(key, value, 0))
	m.announce()
}

func (m *memory) apply(op dcs.Op) {
	if op.Delete {
		delete(m.kvs, op.Key)
		return
	}
	old, ok := m.kvs[op.Key]
	created := old.CreateRevision
	if !ok {
		created = m.rev
	}
	m.kvs[op.Key] = dcs.KV{Key: op.Key, Value: []byte(op.Value), CreateRevision: created, ModRevision: m.rev, Lease: op.Lease}
}

func (m *memory) announce() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) holds(c dcs.Compare) bool {
	kv, ok := m.kvs[c.Key]
	switch c.Target {
	case dcs.Create:
		return kv.CreateRevision == c.Rev
	case dcs.Mod:
		return kv.ModRevision == c.Rev
	}
	return ok && string(kv.Value) == c.Value
}

func (m *memory) publish(s *NodeStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = s
}

func (m *memory) setDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

func (m *memory) value(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.kvs[key].Value)
}

func (m *memory) Status() *NodeStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

func (m *memory) Cluster() *dcs.Cluster {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rev == 0 {
		return nil
	}
	kvs := make([]dcs.KV, 0, len(m.kvs))
	for _, kv := range m.kvs {
		kvs = append(kvs, kv)
	}
	return dcs.Parse(m.keys, 7, m.rev, kvs)
}

func (m *memory) ClusterChanged() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memory) ReadCluster(context.Context) (*dcs.Cluster, error) {
	m.mu.Lock()
	down := m.down
	m.mu.Unlock()
	if down != nil {
		return nil, down
	}
	if c := m.Cluster(); c != nil {
		return c, nil
	}
	return dcs.Parse(m.keys, 7, 0, nil), nil
}

func (m *memory) Commit(_ context.Context, t dcs.Txn) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return false, m.down
	}
	if slices.ContainsFunc(t.If, func(c dcs.Compare) bool { return !m.holds(c) }) {
		return false, nil
	}
	m.rev++
	for _, op := range t.Then {
		m.apply(op)
	}
	m.announce()
	return true, nil
}

func (m *memory) Wake() {
	m.mu.Lock()
	m.woken++
	f := m.onWake
	m.mu.Unlock()
	if f != nil {
		f(m)
	}
}

func (m *memory) Restart(ctx context.Context, r RestartRequest) error {
	err := m.restart(r)
	if ctx.Err() != nil { // a real node would have given up
		m.cut.Store(true)
	}
	return err
}

func (m *memory) ScheduleRestart(_ context.Context, r RestartRequest) error { return m.schedule(r) }
func (m *memory) CancelRestart(context.Context) error                       { return m.cancel() }
func (m *memory) Reinitialize(_ context.Context, r ReinitRequest) error     { return m.reinitialize(r) }
func (m *memory) Reload(context.Context) error                              { m.reloads++; return nil }
func (m *memory) Decisions() []DecisionRecord                               { return m.decisions }
func (m *memory) Events(context.Context) <-chan Event                       { return m.events }

func (m *memory) Failsafe(_ context.Context, r FailsafeRequest) (uint64, error) { return m.failsafe(r) }

func (m *memory) Pledge(_ context.Context, r PledgeRequest) (PledgeAnswer, error) { return m.pledge(r) }

func (m *memory) Probe(_ context.Context, members []dcs.Member) []Candidate {
	var out []Candidate
	for _, member := range members {
		c, ok := m.limits[member.Name]
		if !ok {
			c = Candidate{Reachable: true}
		}
		c.Name = member.Name
		out = append(out, c)
	}
	return out
}

// newTestServer makes a server on a memory node; change may alter its options.
func newTestServer(t *testing.T, m *memory, change func(*Options)) *Server {
	t.Helper()
	o := Options{
		Backend: m, Keys: m.keys, Product: "Quorate/test", Registerer: prometheus.NewRegistry(),
		Logger: slog.New(slog.DiscardHandler), Now: func() boottime.Instant { return moment },
		Config: Config{Listen: "127.0.0.1:0"},
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves on a port of its own and ends with the test.
func start(t *testing.T, s *Server) string {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

// ask makes a request without a network.
func ask(s *Server, method, target, body string, headers ...string) (int, string, http.Header) {
	return askFor(context.Background(), s, method, target, body, headers...)
}

// askFor is ask by a client that leaves when ctx ends.
func askFor(ctx context.Context, s *Server, method, target, body string, headers ...string) (int, string, http.Header) {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(ctx, method, target, in)
	if body != "" {
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}
