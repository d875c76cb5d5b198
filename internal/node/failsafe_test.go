package node

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/pgctl/ha"
	"quorate/raftstore/dcs"
)

// vow asks a node that is in the state of k.
func vow(k *known) vowAnswer {
	e := &vowRequest{
		req:    rest.FailsafeRequest{Name: "b", ConnURL: "postgres://b", Term: dcs.Term{Cluster: 7, Rev: 50}, TTL: 5000, Slots: map[string]int64{"backup": 900}},
		answer: make(chan vowAnswer, 1),
	}
	e.fold(k)
	return <-e.answer
}

// member is a standby in failsafe mode.
func member() *known {
	k := emptyKnown()
	k.self.Name, k.set.FailsafeMode, k.set.TTL = "a", true, 3*time.Second
	k.store.Cluster = &dcs.Cluster{FailsafeRev: 70, Failsafe: map[string]string{"a": "http://a", "b": "http://b"}, Leader: &dcs.Leader{Name: "b"}}
	k.pg = ha.PG{Phase: ha.Running, InRecovery: true, FlushLSN: 1000, ReplayLSN: 900}
	return k
}

func TestVow(t *testing.T) {
	k := member()
	before := boottime.Now()
	got := vow(k)
	if got.err != nil || got.lsn != 1000 || got.ttl != 5*time.Second {
		t.Fatalf("a standby answers %+v", got)
	}
	if k.vow.To != "b" || k.vow.Until.Before(before.Add(5*time.Second)) {
		t.Errorf("it has promised %+v", k.vow)
	}
	if k.safeSlots.Positions["backup"] != 900 || k.safeSlots.At.Before(before) {
		t.Errorf("the primary's slots: %+v", k.safeSlots)
	}
	for name, c := range map[string]struct {
		change func(*known)
		want   error
	}{
		"off":                        {func(k *known) { k.set.FailsafeMode = false }, rest.ErrFailsafeOff},
		"no list":                    {func(k *known) { k.store.Cluster.FailsafeRev = 0 }, rest.ErrFailsafeOff},
		"nothing read yet":           {func(k *known) { k.store.Cluster = nil }, rest.ErrFailsafeOff},
		"a primary":                  {func(k *known) { k.pg.InRecovery = false }, rest.ErrRunningAsLeader},
		"the leader":                 {func(k *known) { k.store.Cluster.Leader.Name = "a" }, rest.ErrRunningAsLeader},
		"taking the lead, may be":    {func(k *known) { k.take(ha.LaneCommit) }, rest.ErrRunningAsLeader},
		"has just taken it, may be":  {func(k *known) { k.settle(ha.LaneCommit, 200, boottime.Now()) }, rest.ErrRunningAsLeader},
		"PostgreSQL starts, unknown": {func(k *known) { k.pg.Phase, k.pg.InRecovery = ha.Starting, false }, rest.ErrRunningAsLeader},
	} {
		k := member()
		c.change(k)
		if got := vow(k); !errors.Is(got.err, c.want) || k.vow != (ha.Promise{}) {
			t.Errorf("%s: %v, promised %+v", name, got.err, k.vow)
		}
	}
}

func TestPromiseOutlivesTheAgent(t *testing.T) {
	f := &promiseFile{path: filepath.Join(t.TempDir(), "promise.json")}
	now := boottime.Now()
	if got := f.load(now, time.Second, slog.Default()); got != (ha.Promise{}) {
		t.Errorf("nothing was promised: %+v", got)
	}
	p := ha.Promise{To: "b", Term: dcs.Term{Cluster: 7, Rev: 50}, Conn: "postgres://b", Until: now.Add(4 * time.Second)}
	if err := f.store(p, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := f.load(now, time.Second, slog.Default()); got != p {
		t.Errorf("%+v came back as %+v", p, got)
	}
	// After a boot the clock begins anew: all of the time counts again.
	if err := os.WriteFile(f.path, []byte(`{"boot":"another","ttl_ns":5000000000,"promise":{"To":"b","Until":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.load(now, time.Second, slog.Default()); got.To != "b" || got.Until != now.Add(5*time.Second) {
		t.Errorf("after a boot: %+v", got)
	}
	if err := os.WriteFile(f.path, []byte(`{"boot`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.load(now, time.Second, slog.Default()); got.To == "" || got.Until != now.Add(time.Second) {
		t.Errorf("one that cannot be read: %+v", got)
	}
}

// A member's answer says how far it has the log: Patroni's by the same header, in lower case.
func TestAcceptsTellsThePosition(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/failsafe" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header()["lsn"] = []string{"83886080"}
	}))
	defer s.Close()
	p, err := newPeerClient(&config.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lsn, err := p.accepts(t.Context(), s.URL+"/patroni", rest.FailsafeRequest{Name: "a"}); err != nil || lsn != 0x5000000 {
		t.Errorf("%v, %v", lsn, err)
	}
}
