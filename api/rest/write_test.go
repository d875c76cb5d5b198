package rest

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const memberJSON = `{"conn_url":"postgres://10.0.0.%d:5432/postgres","api_url":"http://10.0.0.%d:8008/patroni","state":"running","role":"%s","version":"4.1.4"}`

// cluster is a memory node of a cluster with the leader n1 and the standbys n2 and n3.
func cluster(config string) *memory {
	m := newMemory()
	m.put(m.keys.Config(), config)
	m.put(m.keys.Initialize(), "7300000000000000001")
	m.put(m.keys.Leader(), "n1")
	for i, role := range []string{"primary", "replica", "replica"} {
		m.put(m.keys.Member(fmt.Sprintf("n%d", i+1)), fmt.Sprintf(memberJSON, i+1, i+1, role))
	}
	return m
}

func TestConfig(t *testing.T) {
	m := cluster(`{"ttl":30,"postgresql":{"parameters":{"a":"1","b":"2"}}}`)
	s := newTestServer(t, m, nil)
	steps := []struct {
		method, body string
		code         int
		stored       string
		answer       string
	}{
		{"PATCH", `{"postgresql":{"parameters":{"a":null,"c":"3"}}}`, 200,
			`{"postgresql":{"parameters":{"b":"2","c":"3"}},"ttl":30}`, `{"postgresql": {"parameters": {"b": "2", "c": "3"}}, "ttl": 30}`},
		{"PATCH", `{"ttl":"30"}`, 200, `{"postgresql":{"parameters":{"b":"2","c":"3"}},"ttl":30}`, `"ttl": 30`},
		{"PATCH", `{"pause":true}`, 200, `{"pause":true,"postgresql":{"parameters":{"b":"2","c":"3"}},"ttl":30}`, `"pause": true`},
		{"PATCH", `[1]`, 400, "", ""},
		{"PATCH", `{}`, 400, "", ""},
		{"PATCH", `{"a":`, 400, "", ""},
		{"PUT", `{"ttl":20}`, 200, `{"ttl":20}`, `{"ttl": 20}`},
		{"PUT", `nonsense`, 400, `{"ttl":20}`, ""},
		{"GET", ``, 200, `{"ttl":20}`, `{"ttl": 20}`},
	}
	for _, step := range steps {
		code, body, _ := ask(s, step.method, "/config", step.body)
		if code != step.code || !strings.Contains(body, step.answer) {
			t.Errorf("%s %s: %d %s", step.method, step.body, code, body)
		}
		if got := m.value(m.keys.Config()); step.stored != "" && got != step.stored {
			t.Errorf("%s %s leaves %s", step.method, step.body, got)
		}
	}
	if m.woken == 0 {
		t.Error("nobody was woken")
	}
}

// A change that comes in the middle of an election of the store's leader waits for its end.
func TestWriteWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := cluster(`{"ttl":30}`)
		s := newTestServer(t, m, nil)
		m.setDown(errors.New("no leader"))
		time.AfterFunc(500*time.Millisecond, func() { m.setDown(nil) })
		if code, body, _ := ask(s, "PATCH", "/config", `{"ttl":20}`); code != 200 {
			t.Errorf("%d %s", code, body)
		}
	})
}

// A change that comes while a cluster is being made, whose leader can be seen already, waits for its configuration.
func TestChangeWaitsForTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.put(m.keys.Initialize(), "")
		m.put(m.keys.Leader(), "n1")
		s := newTestServer(t, m, nil)
		time.AfterFunc(3*time.Second, func() {
			m.put(m.keys.Config(), `{"ttl":30}`)
			m.put(m.keys.Initialize(), "7300000000000000001")
		})
		if code, body, _ := ask(s, "PATCH", "/config", `{"ttl":20}`); code != 200 || m.value(m.keys.Config()) != `{"ttl":20}` {
			t.Errorf("%d %s", code, body)
		}
	})
}

func TestConfigFailures(t *testing.T) {
	s := newTestServer(t, newMemory(), nil)
	if code, _, _ := ask(s, "PATCH", "/config", `{"ttl":20}`); code != 503 {
		t.Errorf("PATCH without a configuration: %d", code)
	}
	if code, _, _ := ask(s, "GET", "/config", ""); code != 502 {
		t.Errorf("GET without a configuration: %d", code)
	}
	if code, _, _ := ask(s, "PATCH", "/config", ""); code != 411 {
		t.Errorf("PATCH without a length: %d", code)
	}
	if code, _, _ := ask(s, "PUT", "/config", `{"x":"`+strings.Repeat("y", maxConfigBody)+`"}`); code != 413 {
		t.Errorf("PUT of too much: %d", code)
	}

	m := cluster(`{"ttl":30}`)
	s = newTestServer(t, m, nil)
	m.setDown(errors.New("no quorum"))
	for _, method := range []string{"PATCH", "PUT"} {
		if code, body, _ := ask(s, method, "/config", `{"ttl":20}`); code != 503 || !strings.Contains(body, "no quorum") {
			t.Errorf("%s without the store: %d %s", method, code, body)
		}
	}
}

// racing is a node whose store changes between the read and the write of a request.
type racing struct {
	*memory
	key, value string
}

func TestConfigLostRace(t *testing.T) {
	m := cluster(`{"ttl":30}`)
	s := newTestServer(t, m, func(o *Options) { o.Backend = racing{m, m.keys.Config(), `{"ttl":31}`} })
	if code, _, _ := ask(s, "PATCH", "/config", `{"loop_wait":2}`); code != 409 {
		t.Errorf("PATCH that lost: %d", code)
	}
	if got := m.value(m.keys.Config()); got != `{"ttl":31}` {
		t.Errorf("the other's write was overwritten: %s", got)
	}
	if code, _, _ := ask(s, "PUT", "/config", `{"loop_wait":2}`); code != 200 {
		t.Errorf("PUT asks for no condition, and gives %d", code)
	}
}

func TestConfigCorrections(t *testing.T) {
	s := newTestServer(t, cluster(`{"ttl":30}`), nil)
	code, _, h := ask(s, "PATCH", "/config", `{"maximum_lag_on_failover":"plenty"}`)
	if code != 200 || !strings.Contains(strings.Join(h["X-Quorate-Warning"], ""), "maximum_lag_on_failover") {
		t.Errorf("a wrong value is not named: %d %v", code, h)
	}
	code, _, h = ask(s, "PATCH", "/config", `{"postgresql":{"parameters":{"wal_level":"minimal","max_connections":"lots","port":5433,"work_mem":"4MB"}}}`)
	told := strings.Join(h["X-Quorate-Warning"], "\n")
	for _, name := range []string{"wal_level", "max_connections", "port"} {
		if !strings.Contains(told, "postgresql.parameters."+name+" = ") {
			t.Errorf("%s is not named: %d %s", name, code, told)
		}
	}
	if strings.Contains(told, "work_mem") {
		t.Errorf("nothing is wrong with work_mem: %s", told)
	}
}

func TestRestart(t *testing.T) {
	m := newMemory()
	var got RestartRequest
	var result error
	m.restart = func(r RestartRequest) error { got = r; return result }
	m.schedule = func(r RestartRequest) error { got = r; return result }
	m.cancel = func() error { return result }
	s := newTestServer(t, m, nil)
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	cases := []struct {
		method, body string
		result       error
		code         int
		text         string
	}{
		{"POST", ``, nil, 200, "restarted successfully"},
		{"POST", `{}`, nil, 200, "restarted successfully"},
		{"POST", `{"role":"replica","postgres_version":"15.7","timeout":"2min"}`, nil, 200, "restarted successfully"},
		{"POST", `{"role":"primary"}`, nil, 503, "restart conditions are not satisfied"},
		{"POST", `{"postgres_version":"15.6"}`, nil, 503, "restart conditions are not satisfied"},
		{"POST", `{"restart_pending":true}`, nil, 503, "restart conditions are not satisfied"},
		{"POST", ``, ErrStillStarting, 503, "postgres is still starting"},
		{"POST", ``, ErrRestartFailed, 503, "restart failed"},
		{"POST", ``, errors.Join(ErrRestartFailed, errors.New("no space")), 503, "restart failed: no space"},
		{"POST", ``, &BusyError{"reinitialize"}, 503, "reinitialize already in progress"},
		{"POST", `{"role":"master"}`, nil, 400, "PostgreSQL role should be either primary, standby_leader, or replica"},
		{"POST", `{"postgres_version":"15"}`, nil, 400, "Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: 15"},
		{"POST", `{"postgres_version":"a.b.c"}`, nil, 400, "Invalid PostgreSQL version: a.b.c"},
		{"POST", `{"timeout":-1}`, nil, 400, "Timeout should be a positive number of seconds"},
		{"POST", `{"timeout":"soon"}`, nil, 400, "Timeout should be a positive number of seconds"},
		{"POST", `{"timeout":-1,"colour":"red"}`, nil, 400, "Unknown filter for the scheduled restart: colour"},
		{"POST", `{"colour":"red"}`, nil, 400, "Unknown filter for the scheduled restart: colour"},
		{"POST", `{"schedule":"` + later.Format(time.RFC3339) + `"}`, nil, 202, "Restart scheduled"},
		{"POST", `{"schedule":"` + later.Format(time.RFC3339) + `"}`, ErrRestartScheduled, 409, "Another restart is already scheduled"},
		{"POST", `{"schedule":"2020-01-01T00:00:00Z"}`, nil, 422, "Cannot schedule restart in the past"},
		{"POST", `{"schedule":"2099-01-01T00:00:00"}`, nil, 400, "Timezone information is mandatory for the scheduled restart"},
		{"POST", `{"schedule":5}`, nil, 422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"},
		{"POST", `{"schedule":null}`, nil, 422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"},
		{"POST", `{"schedule":"tea time"}`, nil, 422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"},
		{"DELETE", ``, nil, 200, "scheduled restart deleted"},
		{"DELETE", ``, ErrNoRestart, 404, "no restarts are scheduled"},
	}
	for _, c := range cases {
		got, result = RestartRequest{}, c.result
		code, text, h := ask(s, c.method, "/restart", c.body)
		if code != c.code || text != c.text || h.Get("Content-Type") != "text/html" {
			t.Errorf("%s %s: %d %q %v", c.method, c.body, code, text, h)
		}
		if c.code == 202 && !got.Schedule.Equal(later) {
			t.Errorf("scheduled for %v, not %v", got.Schedule, later)
		}
		if strings.Contains(c.body, "2min") && got != (RestartRequest{Role: RoleReplica, PostgresVersion: "15.7", Timeout: 2 * time.Minute}) {
			t.Errorf("the request became %+v", got)
		}
	}
	paused := replicaStatus()
	paused.View.Paused = true
	m.publish(paused)
	if code, text, _ := ask(s, "POST", "/restart", `{"schedule":"2099-01-01T00:00:00Z"}`); code != 500 || text != "Can't schedule restart in the paused state" {
		t.Errorf("in pause: %d %s", code, text)
	}
	for body, want := range map[string]string{`not json`: "not JSON", `[]`: "expected is a JSON object", ` `: "not JSON", `{}{}`: "not JSON"} {
		if code, text, _ := ask(s, "POST", "/restart", body); code != 400 || !strings.Contains(text, want) || strings.Contains(text, "onfiguration") {
			t.Errorf("%q: %d %s", body, code, text)
		}
	}
}

func TestReinitializeAndReload(t *testing.T) {
	m := newMemory()
	var got ReinitRequest
	var result error
	m.reinitialize = func(r ReinitRequest) error { got = r; return result }
	s := newTestServer(t, m, nil)
	for _, c := range []struct {
		body   string
		result error
		code   int
		text   string
		want   ReinitRequest
	}{
		{"", nil, 200, "reinitialize started", ReinitRequest{}},
		{`{"force":true,"from_leader":"on"}`, nil, 200, "reinitialize started", ReinitRequest{true, true}},
		{`{"force":"false"}`, nil, 200, "reinitialize started", ReinitRequest{}},
		{"", ErrNoLeader, 503, "Cluster has no leader, can not reinitialize", ReinitRequest{}},
		{"", ErrIsLeader, 503, "I am the leader, can not reinitialize", ReinitRequest{}},
		{"", &BusyError{"restart"}, 503, "restart already in progress", ReinitRequest{}},
	} {
		result = c.result
		if code, text, _ := ask(s, "POST", "/reinitialize", c.body); code != c.code || text != c.text || got != c.want {
			t.Errorf("%s: %d %q %+v", c.body, code, text, got)
		}
	}
	began := 0
	m.reinitialize = func(ReinitRequest) error { began++; return nil }
	if code, _, _ := ask(s, "POST", "/reinitialize", "x"); code != 400 || began != 0 {
		t.Errorf("reinitialize with a body that is no JSON: %d, begun %d times", code, began)
	}
	if code, text, _ := ask(s, "POST", "/reload", ""); code != 202 || text != "reload scheduled" || m.reloads != 1 {
		t.Errorf("reload: %d %q", code, text)
	}
}

func TestHandoverRefusals(t *testing.T) {
	const sync, paused = `{"synchronous_mode":"on"}`, `{"pause":true}`
	future := `"2099-01-01T00:00:00+01:00"`
	cases := []struct {
		config, action, body string
		code                 int
		text                 string
	}{
		{`{}`, "failover", `{"leader":"n1"}`, 400, "Failover could be performed only to a specific candidate"},
		{`{}`, "switchover", `{"candidate":"n2"}`, 400, "Switchover could be performed only from a specific leader"},
		{`{}`, "failover", `{"candidate":"n2","scheduled_at":` + future + `}`, 400, "Failover can't be scheduled"},
		{paused, "switchover", `{"leader":"n1","scheduled_at":` + future + `}`, 400, "Can't schedule switchover in the paused state"},
		{paused, "switchover", `{"leader":"n1"}`, 400, "Switchover is possible only to a specific candidate in a paused state"},
		{`{}`, "switchover", `{"leader":"n1","candidate":"n1"}`, 400, "Switchover target and source are the same"},
		{`{}`, "failover", `{"leader":"n1","member":"n1"}`, 400, "Switchover target and source are the same"},
		{`{}`, "switchover", `{"leader":5}`, 400, "leader must be text"},
		{`{}`, "switchover", `{"leader":"n1","scheduled_at":"2020-01-01T00:00Z"}`, 422, "Cannot schedule switchover in the past"},
		{`{}`, "switchover", `{"leader":"n1","scheduled_at":"2099-01-01T00:00"}`, 400, "Timezone information is mandatory for the scheduled switchover"},
		{`{}`, "switchover", `{"leader":"n1","scheduled_at":5}`, 422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"},
		{`{}`, "switchover", `{"leader":"n1","scheduled_at":false}`, 422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"},
		{`{}`, "switchover", `{"leader":"n1","scheduled_at":"tea time"}`, 422, "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"},
		{`{}`, "switchover", `{"leader":"","candidate":"n2"}`, 400, "Switchover could be performed only from a specific leader"},
		{`{}`, "switchover", `{"leader":"n9"}`, 412, "leader name does not match"},
		{`{}`, "switchover", `{"leader":"n1","candidate":"n9"}`, 412, "candidate does not exists"},
		{`{}`, "failover", `{"candidate":"n9"}`, 412, "candidate does not exists"},
		{sync, "switchover", `{"leader":"n1","candidate":"n3"}`, 412, "candidate name does not match with sync_standby"},
		{`{}`, "switchover", `{"leader":"n1","candidate":"n2"}`, 412, "switchover is not possible: no good candidates have been found"},
		{`{}`, "failover", `{"candidate":"n2"}`, 412, "failover is not possible: no good candidates have been found"},
	}
	for _, c := range cases {
		m := cluster(c.config)
		m.put(m.keys.Sync(), `{"leader":"n1","quorum":0,"sync_standby":"N2"}`)
		m.limits = map[string]Candidate{"n2": {Reachable: true, NoFailover: true}}
		s := newTestServer(t, m, nil)
		code, text, _ := ask(s, "POST", "/"+c.action, c.body)
		if code != c.code || text != c.text {
			t.Errorf("%s %s with %s: %d %q, want %d %q", c.action, c.body, c.config, code, text, c.code, c.text)
		}
		if m.value(m.keys.Failover()) != "" {
			t.Errorf("%s %s: refused, and still written", c.action, c.body)
		}
	}
	alone := newMemory()
	alone.put(alone.keys.Leader(), "n1")
	alone.put(alone.keys.Member("n1"), fmt.Sprintf(memberJSON, 1, 1, "primary"))
	s := newTestServer(t, alone, nil)
	if code, text, _ := ask(s, "POST", "/switchover", `{"leader":"n1"}`); code != 412 || text != "switchover is not possible: cluster does not have members except leader" {
		t.Errorf("alone: %d %s", code, text)
	}
	alone.put(alone.keys.Config(), sync)
	if code, text, _ := ask(s, "POST", "/switchover", `{"leader":"n1"}`); code != 412 || text != "switchover is not possible: can not find sync_standby" {
		t.Errorf("alone in synchronous mode: %d %s", code, text)
	}
}

func TestHandoverOutcomes(t *testing.T) {
	take := func(name string) func(*memory) {
		return func(m *memory) { m.put(m.keys.Leader(), name); m.put(m.keys.Failover(), "{}") }
	}
	cases := []struct {
		name, action, body string
		wake               func(*memory)
		code               int
		text               string
	}{
		{"to the candidate", "switchover", `{"leader":"n1","candidate":"n2"}`, take("n2"), 200, `Successfully switched over to "n2"`},
		{"to anybody", "switchover", `{"leader":"n1"}`, take("n3"), 200, `Successfully switched over to "n3"`},
		{"to another", "switchover", `{"leader":"n1","candidate":"n2"}`, take("n3"), 200, `Switched over to "n3" instead of "n2"`},
		{"failover", "failover", `{"candidate":"n2"}`, take("n2"), 200, `Successfully failed over to "n2"`},
		{"failover from a leader", "failover", `{"candidate":"n2","leader":"n1"}`, take("n2"), 200, `Successfully switched over to "n2"`},
		{"given up", "switchover", `{"leader":"n1"}`, func(m *memory) { m.put(m.keys.Failover(), "{}") }, 503, "Switchover failed"},
		{"given up", "failover", `{"candidate":"n2"}`, func(m *memory) { m.put(m.keys.Failover(), "{}") }, 503, "Failover failed"},
		{"nothing happens", "switchover", `{"leader":"n1"}`, nil, 503,
			"Switchover status unknown after 20 seconds; operation may still be in progress"},
		{"slowly", "switchover", `{"leader":"n1"}`, func(m *memory) {
			time.AfterFunc(3*time.Second, func() { m.put(m.keys.Status(), `{"optime":5}`) }) // in the bubble's time
			time.AfterFunc(6*time.Second, func() { take("n2")(m) })
		}, 200, `Successfully switched over to "n2"`},
	}
	for _, c := range cases {
		t.Run(c.action+" "+c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := cluster(`{}`)
				m.onWake = c.wake
				s := newTestServer(t, m, nil)
				if code, text, _ := ask(s, "POST", "/"+c.action, c.body); code != c.code || text != c.text {
					t.Errorf("%d %q", code, text)
				}
			})
		})
	}
}

func TestHandoverWritesKey(t *testing.T) {
	m := cluster(`{}`)
	s := newTestServer(t, m, nil)
	code, text, _ := ask(s, "POST", "/switchover", `{"leader":"n1","candidate":"n2","scheduled_at":"2099-01-01 12:00+01:00"}`)
	if code != 202 || text != "Switchover scheduled" || m.woken != 1 {
		t.Fatalf("%d %s", code, text)
	}
	if got := m.value(m.keys.Failover()); got != `{"leader":"n1","member":"n2","scheduled_at":"2099-01-01T12:00:00+01:00"}` {
		t.Errorf("the key holds %s", got)
	}
	_, body, _ := ask(s, "GET", "/cluster", "")
	if !strings.Contains(body, `"scheduled_switchover": {"at": "2099-01-01T12:00:00+01:00", "from": "n1", "to": "n2"}`) {
		t.Errorf("not shown in %s", body)
	}
	if code, text, _ := ask(s, "DELETE", "/switchover", ""); code != 200 || text != "scheduled switchover deleted" || m.value(m.keys.Failover()) != "{}" {
		t.Errorf("deleting: %d %s", code, text)
	}
	if code, text, _ := ask(s, "DELETE", "/switchover", ""); code != 404 || text != "no switchover is scheduled" {
		t.Errorf("deleting again: %d %s", code, text)
	}
	// The key holds {} now, as after every switchover.
	if code, text, _ := ask(s, "POST", "/switchover", `{"leader":"n1","scheduled_at":"2099-01-01T12:00Z"}`); code != 202 {
		t.Errorf("scheduling again: %d %s", code, text)
	}
	lost := newTestServer(t, m, func(o *Options) { o.Backend = racing{m, m.keys.Failover(), `{"leader":"n1","member":"n3"}`} })
	if code, text, _ := ask(lost, "POST", "/switchover", `{"leader":"n1"}`); code != 503 || text != "failed to write failover key into DCS" {
		t.Errorf("another request came first: %d %s", code, text)
	}
	m.put(m.keys.Failover(), `{"leader":"n1","scheduled_at":"2099-01-01T12:00:00+01:00"}`)
	if code, _, _ := ask(lost, "DELETE", "/switchover", ""); code != 409 {
		t.Errorf("deleting what was changed: %d", code)
	}
}

func TestPeers(t *testing.T) {
	m := newMemory()
	var result error
	m.failsafe = func(r FailsafeRequest) (uint64, error) {
		if r.Name != "n2" || r.Slots["s"] != 7 {
			t.Errorf("the message became %+v", r)
		}
		return 12345, result
	}
	m.pledge = func(r PledgeRequest) (PledgeAnswer, error) {
		return PledgeAnswer{Name: "n1", FlushLSN: 99, Pledged: r.Term}, result
	}
	s := newTestServer(t, m, nil)
	const message = `{"name":"n2","conn_url":"postgres://x","api_url":"http://x","slots":{"s":7}}`
	if code, _, _ := ask(s, "POST", "/failsafe", message); code != 502 {
		t.Errorf("failsafe that is off: %d", code)
	}
	on := replicaStatus()
	on.Failsafe = Failsafe{Enabled: true, Members: map[string]string{"n1": "http://a/patroni"}}
	m.publish(on)
	code, text, h := ask(s, "POST", "/failsafe", message)
	if code != 200 || text != "Accepted" || !slices.Equal(asSent(h, "lsn"), []string{"12345"}) {
		t.Errorf("failsafe: %d %q %v", code, text, h)
	}
	if code, text, _ := ask(s, "GET", "/failsafe", ""); code != 200 || text != `{"n1": "http://a/patroni"}` {
		t.Errorf("GET /failsafe: %d %s", code, text)
	}
	for _, bad := range []string{`{}`, ` { } `, `[]`, `x`, ``, `{"name":5}`} {
		if code, _, _ := ask(s, "POST", "/failsafe", bad); code != 400 && !(bad == "" && code == 411) {
			t.Errorf("failsafe %q: %d", bad, code)
		}
	}
	result = ErrRunningAsLeader
	if code, text, _ := ask(s, "POST", "/failsafe", message); code != 500 || text != "Running as a leader" {
		t.Errorf("failsafe on a leader: %d %q", code, text)
	}
	result = nil
	if code, text, _ := ask(s, "POST", "/v1/pledge", `{"term":{"cluster":7,"rev":4},"from":"n2"}`); code != 200 || !strings.Contains(text, `"flush_lsn": 99`) ||
		!strings.Contains(text, `"pledged": {"cluster": 7, "rev": 4}`) {
		t.Errorf("pledge: %d %s", code, text)
	}
	result = fmt.Errorf("%w: this node leads", ErrPledgeRefused)
	if code, text, _ := ask(s, "POST", "/v1/pledge", `{"term":{"cluster":7,"rev":4},"from":"n2"}`); code != 409 || !strings.Contains(text, "this node leads") {
		t.Errorf("refused pledge: %d %s", code, text)
	}
	for _, bad := range []string{`{}`, `[]`, `null`, `{"term":{"rev":"x"}}`, ` `} {
		if code, _, _ := ask(s, "POST", "/v1/pledge", bad); code != 400 {
			t.Errorf("pledge %q: %d", bad, code)
		}
	}
}

// asSent looks a header up by the very name that goes out.
func asSent(h http.Header, name string) []string { return h[name] }

func TestAudit(t *testing.T) {
	var log bytes.Buffer
	m := cluster(`{}`)
	s := newTestServer(t, m, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Config.Username, o.Config.Password = "admin", "geheim"
	})
	ask(s, "PATCH", "/config", `{"ttl":44444}`)
	ask(s, "PATCH", "/config", `{"ttl":44444}`, "Authorization", basicAuth("admin", "geheim"))
	ask(s, "GET", "/config", "")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "code=401") || !strings.Contains(lines[1], "code=200") ||
		!strings.Contains(lines[1], "user=admin") || !strings.Contains(lines[1], "address=192.0.2.1:1234") {
		t.Errorf("the audit lines are\n%s", log.String())
	}
	if strings.Contains(log.String(), "geheim") || strings.Contains(log.String(), "44444") {
		t.Error("secrets or bodies are in the log")
	}
}
