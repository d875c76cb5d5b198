package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"quorate/api/clusterbody"
	"quorate/internal/boottime"
)

// TestStatusBody holds the whole body of each kind of node, byte by byte.
func TestStatusBody(t *testing.T) {
	addr := "10.0.0.2"
	primary := primaryStatus()
	primary.Postgres.Replication = []ReplicationRow{{"replicator", "n2", &addr, "streaming", "sync", 1}, {"replicator", "n3", nil, "streaming", "async", 0}}
	primary.Tags = map[string]any{"clonefrom": true}
	primary.PendingRestart = map[string]Change{"max_connections": {"100", "200"}}
	primary.ScheduledRestart = &RestartRequest{Schedule: time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC), Role: RolePrimary, Pending: true}
	primary.WatchdogFailed = true
	primary.View.Paused = true // asked for, and its fence still has a deadline
	standby := replicaStatus()
	standby.Sync = SyncOn
	standby.View.Paused, standby.PauseHolds = true, true
	standby.Postgres.ReplayedAt = time.Date(2026, 11, 23, 6, 29, 59, 0, time.UTC)
	hung := replicaStatus()
	hung.Postgres.Answering = false
	hung.View.SeenAt = 0
	hung.Failsafe.Active = true
	for name, c := range map[string]struct {
		status *NodeStatus
		want   string
	}{
		"primary": {primary, `{"state": "running", "postmaster_start_time": "2026-11-23 06:00:00.123456+00:00", "role": "primary", ` +
			`"server_version": 150006, "xlog": {"location": 5000}, "timeline": 3, "replication": [` +
			`{"usename": "replicator", "application_name": "n2", "client_addr": "10.0.0.2", "state": "streaming", "sync_state": "sync", "sync_priority": 1}, ` +
			`{"usename": "replicator", "application_name": "n3", "client_addr": null, "state": "streaming", "sync_state": "async", "sync_priority": 0}], ` +
			`"dcs_last_seen": 1795415400, "tags": {"clonefrom": true}, "database_system_identifier": "7300000000000000001", "pending_restart": true, ` +
			`"pending_restart_reason": {"max_connections": {"old_value": "100", "new_value": "200"}}, ` +
			`"patroni": {"version": "4.1.4", "scope": "demo", "name": "n1"}, ` +
			`"scheduled_restart": {"schedule": "2099-01-02T03:04:05+00:00", "role": "primary", "restart_pending": true}, "watchdog_failed": true}`},
		"standby": {standby, `{"state": "running", "postmaster_start_time": "2026-11-23 06:00:00.123456+00:00", "role": "replica", ` +
			`"server_version": 150006, "xlog": {"received_location": 1000, "replayed_location": 900, "replayed_timestamp": "2026-11-23 06:29:59+00:00", ` +
			`"paused": false}, "sync_standby": true, "timeline": 3, "replication_state": "streaming", "pause": true, "dcs_last_seen": 1795415400, ` +
			`"database_system_identifier": "7300000000000000001", "patroni": {"version": "4.1.4", "scope": "demo", "name": "n1"}}`},
		"hung": {hung, `{"state": "unknown", "role": "replica", "cluster_unlocked": true, "failsafe_mode_is_active": true, "dcs_last_seen": 1795415400, ` +
			`"database_system_identifier": "7300000000000000001", "patroni": {"version": "4.1.4", "scope": "demo", "name": "n1"}}`},
	} {
		m := newMemory()
		m.publish(c.status)
		s := newTestServer(t, m, nil)
		for _, path := range []string{"/patroni", "/health", "/replica", "/nothing"} {
			if _, body, h := ask(s, "GET", path, ""); body != c.want || h.Get("Content-Type") != "application/json" {
				t.Errorf("%s on %s:\n got %s\nwant %s", path, name, body, c.want)
			}
		}
	}
}

// TestStatusFollows makes sure that the kept rendering is never an old one.
func TestStatusFollows(t *testing.T) {
	m := newMemory()
	now := moment
	s := newTestServer(t, m, nil)
	s.opt.Now = func() boottime.Instant { return now }
	if _, body, _ := ask(s, "GET", "/replica", ""); strings.Contains(body, "cluster_unlocked") {
		t.Fatal(body)
	}
	now += 10 * second
	if _, body, _ := ask(s, "GET", "/replica", ""); !strings.Contains(body, `"cluster_unlocked": true`) {
		t.Errorf("the view grew old and the body did not: %s", body)
	}
	m.publish(primaryStatus())
	if _, body, _ := ask(s, "GET", "/replica", ""); !strings.Contains(body, `"role": "primary"`) {
		t.Errorf("a new status is not shown: %s", body)
	}
}

func TestClusterBody(t *testing.T) {
	m := cluster(`{"synchronous_mode":"quorum","pause":true}`)
	m.put(m.keys.Status(), `{"optime":83886080}`)
	m.put(m.keys.Sync(), `{"leader":"n1","quorum":1,"sync_standby":"n2"}`)
	m.put(m.keys.Member("n2"), `{"conn_url":"postgres://[fd00::2]:5433/postgres","api_url":"http://n2:8008/patroni","state":"running","role":"replica","version":"4.1.4",`+
		`"xlog_location":83886079,"replay_lsn":83886000,"receive_lsn":83886081,"replication_state":"streaming","timeline":2,"tags":{"nosync":true},"pending_restart":true,`+
		`"pending_restart_reason":{"a":{"old_value":"1","new_value":"2"}}}`)
	m.put(m.keys.Member("n1"), `{"conn_url":"postgres://10.0.0.1:5432/postgres","api_url":"http://10.0.0.1:8008/patroni","state":"running","role":"primary","version":"4.1.4","timeline":2,"xlog_location":83886080}`)
	s := newTestServer(t, m, nil)
	want := `{"members": [{"name": "n1", "role": "leader", "state": "running", "api_url": "http://10.0.0.1:8008/patroni", "host": "10.0.0.1", "port": 5432, "timeline": 2}, ` +
		`{"name": "n2", "role": "quorum_standby", "state": "streaming", "api_url": "http://n2:8008/patroni", "host": "fd00::2", "port": 5433, "timeline": 2, ` +
		`"pending_restart": true, "pending_restart_reason": {"a": {"old_value": "1", "new_value": "2"}}, "tags": {"nosync": true}, ` +
		`"receive_lag": 0, "receive_lsn": "0/5000001", "replay_lag": 80, "replay_lsn": "0/4FFFFB0", "lag": 1, "lsn": "0/4FFFFFF"}, ` +
		`{"name": "n3", "role": "replica", "state": "running", "api_url": "http://10.0.0.3:8008/patroni", "host": "10.0.0.3", "port": 5432, ` +
		`"receive_lag": "unknown", "receive_lsn": "unknown", "replay_lag": "unknown", "replay_lsn": "unknown", "lag": "unknown", "lsn": "unknown"}], ` +
		`"pause": true, "scope": "demo"}`
	if code, body, _ := ask(s, "GET", "/cluster", ""); code != 200 || body != want {
		t.Errorf("%d\n got %s\nwant %s", code, body, want)
	}
	m.setDown(errors.New("no quorum"))
	code, body, h := ask(s, "GET", "/cluster", "")
	if code != 200 || body != want || h.Get("Age") != "1" || h.Get("X-Quorate-Stale") == "" {
		t.Errorf("without the store: %d %v", code, h)
	}
	none := newMemory()
	none.setDown(errors.New("no quorum"))
	if code, body, _ := ask(newTestServer(t, none, nil), "GET", "/cluster", ""); code != 503 || !strings.Contains(body, "no quorum") {
		t.Errorf("without any view: %d %s", code, body)
	}
}

func TestMemberRoles(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                            "leader replica replica",
		`{"synchronous_mode":true}`:     "leader sync_standby replica",
		`{"synchronous_mode":"quorum"}`: "leader quorum_standby replica",
		`{"standby_cluster":{"host":"elsewhere"}}`:                         "standby_leader replica replica",
		`{"synchronous_mode":true,"standby_cluster":{"host":"elsewhere"}}`: "standby_leader replica replica",
		`not json`: "leader replica replica",
	} {
		m := cluster(config)
		m.put(m.keys.Sync(), `{"leader":"n1","quorum":0,"sync_standby":"N2"}`)
		var got []string
		for _, member := range clusterbody.New("demo", m.Cluster()).Members {
			got = append(got, member.Role)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", config, got)
		}
	}
}

func TestScheduledRestartKey(t *testing.T) {
	r := RestartRequest{Schedule: time.Date(2099, 1, 2, 3, 4, 5, 6000, time.UTC), PostgresVersion: "15.7", Timeout: time.Minute}
	b, err := json.Marshal(r)
	if want := `{"schedule":"2099-01-02T03:04:05.000006+00:00","postgres_version":"15.7","timeout":60}`; err != nil || string(b) != want {
		t.Errorf("%s %v", b, err)
	}
}

func TestHistory(t *testing.T) {
	m := cluster(`{}`)
	s := newTestServer(t, m, nil)
	if _, body, _ := ask(s, "GET", "/history", ""); body != "[]" {
		t.Error(body)
	}
	m.put(m.keys.History(), `[[1,100,"no recovery target specified"],[2,200,"no recovery target specified","2026-11-23T06:00:00+00:00","n1"]]`)
	want := `[[1, 100, "no recovery target specified"], [2, 200, "no recovery target specified", "2026-11-23T06:00:00+00:00", "n1"]]`
	if _, body, _ := ask(s, "GET", "/history", ""); body != want {
		t.Error(body)
	}
}

// brokenGatherer has a family between two others that cannot be written as text.
type brokenGatherer struct{ prometheus.Gatherer }

func (b brokenGatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := b.Gatherer.Gather()
	name := "broken"
	return slices.Insert(families, 1, &dto.MetricFamily{Name: &name}), err
}

// A family that cannot be shown takes no other along, and leaves no half behind.
func TestMetricsWithoutABrokenFamily(t *testing.T) {
	m := newMemory()
	m.publish(primaryStatus())
	own := prometheus.NewRegistry()
	for _, name := range []string{"a_first", "z_last"} {
		own.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: name}))
	}
	s := newTestServer(t, m, func(o *Options) { o.Gatherer = brokenGatherer{own} })
	code, body, _ := ask(s, "GET", "/metrics", "")
	if code != 200 || !strings.Contains(body, "\na_first 0\n") || !strings.HasSuffix(body, "\nz_last 0\n") || strings.Contains(body, "broken") {
		t.Errorf("%d\n%s", code, body)
	}
}

func TestMetrics(t *testing.T) {
	m := newMemory()
	primary := primaryStatus()
	primary.Postgres.Location = 85478112000
	m.publish(primary)
	own := prometheus.NewRegistry()
	s := newTestServer(t, m, func(o *Options) { o.Registerer, o.Gatherer = own, own })
	ask(s, "GET", "/primary", "")
	code, body, h := ask(s, "GET", "/metrics", "")
	if code != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", code, h)
	}
	const labels = `{scope="demo",name="n1"} `
	for metric, value := range map[string]string{
		"patroni_version": "040104", "patroni_postgres_running": "1", "patroni_postmaster_start_time": "1795413600.123456", "patroni_primary": "1",
		"patroni_xlog_location": "85478112000", "patroni_standby_leader": "0", "patroni_replica": "0", "patroni_sync_standby": "0", "patroni_quorum_standby": "0",
		"patroni_xlog_received_location": "0", "patroni_xlog_replayed_location": "0", "patroni_xlog_replayed_timestamp": "0", "patroni_xlog_paused": "0",
		"patroni_postgres_streaming": "0", "patroni_postgres_in_archive_recovery": "0", "patroni_postgres_server_version": "150006", "patroni_cluster_unlocked": "0",
		"patroni_failsafe_mode_is_active": "0", "patroni_failsafe_mode_enabled": "0", "patroni_failsafe_member": "0", "patroni_postgres_timeline": "3",
		"patroni_dcs_last_seen": "1795415400", "patroni_pending_restart": "0", "patroni_is_paused": "0", "patroni_postgres_state": "5", "patroni_failover_priority": "1",
	} {
		kind := "gauge"
		if strings.HasSuffix(metric, "_location") {
			kind = "counter"
		}
		for _, line := range []string{"\n" + metric + labels + value + "\n", "# TYPE " + metric + " " + kind + "\n", "# HELP " + metric + " "} {
			if !strings.Contains("\n"+body, line) {
				t.Errorf("no %q", line)
			}
		}
	}
	if !strings.Contains(body, `quorate_rest_requests_total{code="503",method="GET",path="/primary"} 1`) && !strings.Contains(body, `quorate_rest_requests_total{code="200",method="GET",path="/primary"} 1`) {
		t.Error("the process's own are missing")
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "patroni_xlog_") || !strings.Contains(p.Text, "_total") { // Patroni's counters bear no _total
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	hung := replicaStatus()
	hung.Postgres.Answering = false
	hung.Scope = `a"b\c`
	hung.Tags = map[string]any{"failover_priority": "7"}
	m.publish(hung)
	_, body, _ = ask(s, "GET", "/metrics", "")
	const escaped = `{scope="a\"b\\c",name="n1"} `
	for _, line := range []string{"patroni_postgres_running" + escaped + "0", "patroni_postgres_state" + escaped + "-1", "patroni_failover_priority" + escaped + "7",
		"patroni_xlog_replayed_location" + escaped + "0", "patroni_replica" + escaped + "1"} {
		if !strings.Contains(body, line) {
			t.Errorf("hung: no %q", line)
		}
	}
	if strings.Contains(body, "patroni_postgres_streaming") {
		t.Error("a PostgreSQL that does not answer streams")
	}
}

func TestRouting(t *testing.T) {
	s := newTestServer(t, cluster(`{}`), nil)
	for _, c := range []struct {
		method, path string
		code         int
		bare         bool // the status line alone
	}{
		{"GET", "/patroni/anything", 200, false}, {"GET", "//patroni", 200, false}, {"GET", "//async", 200, false}, {"HEAD", "//", 503, true}, {"GET", "/unknown", 503, false}, {"GET", "/replica", 200, false},
		{"GET", "/liveness", 200, true}, {"GET", "/readiness", 200, true}, {"HEAD", "/replica", 200, true}, {"OPTIONS", "/replica", 200, true},
		{"HEAD", "/", 503, true}, {"OPTIONS", "/", 503, true}, {"OPTIONS", "*", 503, true}, {"HEAD", "/health", 200, true},
		{"HEAD", "/liveness", 503, true}, {"HEAD", "/patroni", 503, true}, {"OPTIONS", "/cluster", 503, true}, {"HEAD", "/metrics", 503, true},
		{"GET", "/switchover", 503, false}, {"POST", "/patroni", 501, false}, {"PUT", "/switchover", 501, false}, {"PATCH", "/", 501, false},
		{"DELETE", "/config", 501, false}, {"TRACE", "/", 501, false}, {"POST", "/sigterm", 202, false},
	} {
		code, body, h := ask(s, c.method, c.path, "")
		if code != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, code, c.code)
		}
		if c.bare && (body != "" || h.Get("Content-Type") != "" || h.Get("Server") != "") {
			t.Errorf("%s %s is not bare: %q %v", c.method, c.path, body, h)
		}
	}
}

// TestRawHTTP looks at the bytes on the wire, as HAProxy's checks do.
func TestRawHTTP(t *testing.T) {
	base := start(t, newTestServer(t, newMemory(), nil))
	talk := func(requests string) string {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, requests)
		all, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	if got := talk("OPTIONS /replica HTTP/1.0\r\n\r\n"); got != "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n" && got != "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" {
		t.Errorf("HAProxy's check gets %q", got)
	}
	if got := talk("HEAD /primary HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 503 Service Unavailable\r\n") {
		t.Errorf("HEAD gets %q", got)
	}
	got := talk("GET /replica HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\nGET /patroni HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "HTTP/1.1 200 OK") != 2 || strings.Count(got, "HTTP/1.1 503") != 1 {
		t.Errorf("three requests on one connection get %q", got)
	}
	r := bufio.NewReader(strings.NewReader(got))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || !json.Valid(body) || resp.ContentLength != int64(len(body)) {
		t.Errorf("the first answer is %q %v", body, err)
	}
}

const pythonClient = `
import http.client, json, sys, urllib.request
host = sys.argv[1]
c = http.client.HTTPConnection(host, timeout=10)
for path, want in (("/patroni", 200), ("/primary", 503), ("/replica", 200)):
    c.request("GET", path)
    r = c.getresponse()
    body = json.loads(r.read())
    assert r.status == want, (path, r.status)
    assert body["patroni"]["name"] == "n1", body
c.request("HEAD", "/replica"); r = c.getresponse(); assert (r.status, r.read()) == (200, b"")
c.request("OPTIONS", "/replica"); r = c.getresponse(); assert (r.status, r.read()) == (200, b"")
c.request("GET", "/liveness"); r = c.getresponse(); assert (r.status, r.read()) == (200, b"")
c.request("PATCH", "/config", json.dumps({"ttl": 25}), {"Content-Type": "application/json"})
r = c.getresponse(); body = r.read(); assert r.status == 200 and json.loads(body)["ttl"] == 25, body
c.request("PATCH", "/config"); r = c.getresponse(); r.read(); assert r.status in (400, 411), r.status
raw = urllib.request.urlopen("http://%s/patroni" % host, timeout=10).read().decode()
assert json.dumps(json.loads(raw)) == raw, raw
raw = urllib.request.urlopen("http://%s/cluster" % host, timeout=10).read().decode()
assert json.dumps(json.loads(raw)) == raw, raw
`

// TestPython lets Python's clients, which Patroni's own tools use, be the witness: keep-alive, bodies, and the very text of the JSON.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	m := cluster(`{"ttl":30}`)
	m.put(m.keys.Member("größe 😀"), `{"conn_url":"postgres://10.0.0.4:5432/postgres","api_url":"http://x/patroni","state":"running","role":"replica","tags":{"a\"b":"c,d: \\ <&>\u2028"}}`)
	base := start(t, newTestServer(t, m, nil))
	out, err := exec.CommandContext(t.Context(), python, "-c", pythonClient, strings.TrimPrefix(base, "http://")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestStopEndsConnections makes sure that idle connections do not keep the server up.
func TestStopEndsConnections(t *testing.T) {
	s := newTestServer(t, newMemory(), nil)
	base := start(t, s)
	client := &http.Client{}
	resp, err := client.Get(base + "/patroni") // kept alive
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answers(t, base) {
		t.Error("served after Stop")
	}
}

func FuzzRespace(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":"x:y,z\""}],"ü":"\\"}`))
	f.Add([]byte(`[1e999,` + strings.Repeat("1", 400) + `]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var compact bytes.Buffer
		if json.Compact(&compact, in) != nil {
			return
		}
		wide := respace(compact.Bytes())
		var back bytes.Buffer
		if err := json.Compact(&back, wide); err != nil {
			t.Fatalf("%q became %q: %v", compact.Bytes(), wide, err)
		}
		decode := func(text []byte) (v any, err error) {
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber() // of any size
			return v, d.Decode(&v)
		}
		a, badA := decode(compact.Bytes())
		b, badB := decode(wide)
		if badA != nil || badB != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("%q became %q", compact.Bytes(), wide)
		}
	})
}

func FuzzBodies(f *testing.F) {
	f.Add("POST", "/restart", []byte(`{"schedule":"2099-01-01T00:00Z","role":"replica"}`))
	f.Add("PATCH", "/config", []byte(`{"a":{"b":null}}`))
	f.Add("POST", "/v1/pledge", []byte(`{"term":{"cluster":1,"rev":2},"from":"x"}`))
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \x00%\x7f") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }) ||
			!strings.Contains(" GET HEAD POST PUT PATCH DELETE ", " "+method+" ") || strings.Contains(path, "switchover") || strings.Contains(path, "failover") || strings.Contains(path, "events") {
			return
		}
		m := cluster(`{"a":{"b":1}}`)
		m.restart = func(RestartRequest) error { return nil }
		m.schedule, m.cancel = m.restart, func() error { return nil }
		m.reinitialize = func(ReinitRequest) error { return nil }
		m.failsafe = func(FailsafeRequest) (uint64, error) { return 0, nil }
		m.pledge = func(PledgeRequest) (PledgeAnswer, error) { return PledgeAnswer{}, nil }
		code, _, _ := ask(newTestServer(t, m, nil), method, path, string(body))
		if code < 200 || code > 599 || code == 500 {
			t.Fatalf("%s %s %q: %d", method, path, body, code)
		}
	})
}
