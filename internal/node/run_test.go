package node

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"quorate/api/rest"
	"quorate/api/rest/openapitest"
)

// patroniStatus is what GET /patroni says, as far as the tests care.
type patroniStatus struct {
	State     string         `json:"state"`
	Role      string         `json:"role"`
	Started   string         `json:"postmaster_start_time"`
	Unlocked  bool           `json:"cluster_unlocked"`
	Scheduled map[string]any `json:"scheduled_restart"`
}

func (s *site) status() (out patroniStatus) {
	r, err := http.Get("http://" + s.addr(portREST) + "/patroni")
	if err != nil {
		return out
	}
	defer r.Body.Close()
	_ = json.NewDecoder(r.Body).Decode(&out)
	return out
}

// do asks the API for something and gives the code and the text of its answer.
func (s *site) do(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr(portREST)+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

func (s *site) awaitPrimary() {
	s.t.Helper()
	eventually(s.t, "a primary that holds the lead", func() bool {
		st := s.status()
		return st.State == "running" && st.Role == "primary" && !st.Unlocked
	})
}

// psql asks through one of the router's ports, or PostgreSQL itself.
func (s *site) psql(port int, sql string) string {
	host, number, _ := strings.Cut(s.addr(port), ":")
	return s.sh([]string{"PGPASSWORD=sup", "PGCONNECT_TIMEOUT=30"}, "psql", "-h", host, "-p", number, "-U", "postgres", "-Atqc", sql, "postgres")
}

// One host founds its store, makes a database, serves it through its router, restarts it on request, and finds everything again after a
// stop in order.
func TestOneHost(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	u := s.run(s.config(""))
	s.awaitPrimary()
	s.psql(portPrimary, "CREATE TABLE mine AS SELECT 42 AS answer")

	for _, r := range openapitest.Check(t, "http://"+s.addr(portREST)) {
		if r.Code != 200 {
			t.Errorf("GET %s: %d", r.Path, r.Code)
		}
	}
	s.refusals(fmt.Sprintf("%x", u.member.now().ID()))
	before := s.status().Started
	var code int
	var text string
	eventually(t, "the end of the operations before", func() bool {
		code, text = s.do("POST", "/restart", "{}")
		return code != 503 || !strings.Contains(text, "already in progress")
	})
	if code != 200 {
		t.Fatalf("restart: %d %s", code, text)
	}
	if st := s.status(); st.State != "running" || st.Started == before {
		t.Errorf("the restart was answered before PostgreSQL answered: %+v, it ran since %s", st, before)
	}
	if k := u.agent.loop.history.list(); count(k, "restart") != 1 {
		t.Errorf("restarted other than once: %+v", k)
	}
	s.scheduledRestart()

	u.end()
	if !strings.Contains(s.sh(nil, "pg_controldata", "-D", s.path("pg")), "shut down") {
		t.Error("PostgreSQL was not stopped in order")
	}
	s.run(s.load())
	s.awaitPrimary()
	if got := s.psql(portPrimary, "SELECT answer FROM mine"); got != "42" {
		t.Errorf("after the next start: %q", got)
	}
}

// refusals of a store and a router that are well are no failures of theirs.
func (s *site) refusals(id string) {
	s.t.Helper()
	for _, c := range []struct {
		method, path, body string
		code               int
		text               string
	}{
		{"POST", "/v1/store/members/ffff/promote", "", 404, `no such member of the store: \"ffff\"`},
		{"DELETE", "/v1/store/members/x", "", 404, `no such member of the store: \"x\"`},
		{"POST", "/v1/store/members/" + id + "/promote", "", 412, "learner"},
		{"DELETE", "/v1/store/members/" + id, "", 412, "not possible: "},
		{"POST", "/v1/store/members", `{"peer_url":"nonsense"}`, 400, `found \"nonsense\"`},
		{"DELETE", "/v1/router/sessions/99", "", 404, `"no such session: 99"`},
		{"POST", "/v1/pledge", "{", 400, `"bad_request"`},
	} {
		if code, text := s.do(c.method, c.path, c.body); code != c.code || !strings.Contains(text, c.text) {
			s.t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, code, text)
		}
	}
}

// scheduledRestart is shown as long as it stands, and no longer.
func (s *site) scheduledRestart() {
	s.t.Helper()
	if code, text := s.do("POST", "/restart", `{"schedule":"2099-01-01T00:00+00:00"}`); code != 202 {
		s.t.Fatalf("schedule: %d %s", code, text)
	}
	eventually(s.t, "the scheduled restart in the status and in the member key", func() bool {
		_, members := s.do("GET", "/cluster", "")
		return s.status().Scheduled["schedule"] != nil && strings.Contains(members, "2099-01-01")
	})
	if code, text := s.do("DELETE", "/restart", ""); code != 200 {
		s.t.Fatalf("cancel: %d %s", code, text)
	}
	eventually(s.t, "no scheduled restart any more", func() bool {
		_, members := s.do("GET", "/cluster", "")
		return s.status().Scheduled == nil && !strings.Contains(members, "2099-01-01")
	})
}

// handMade is a PostgreSQL that was made and started by hand, with what the configuration says.
func (s *site) handMade(password string) {
	s.t.Helper()
	s.write("run/pw", password)
	s.own(s.path("run/pw"))
	s.sh(nil, "initdb", "-N", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", s.path("run/pw"), "-D", s.path("pg"))
}

func (s *site) startByHand() {
	s.t.Helper()
	host, number, _ := strings.Cut(s.addr(portPostgres), ":")
	s.sh(nil, "pg_ctl", "-D", s.path("pg"), "-w", "-l", s.path("run/log"), "-o", "-h "+host+" -p "+number+" -k "+s.path("run"), "start")
}

// A folder at rest that nobody has managed before becomes the cluster's.
func TestAdoptStopped(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	conf := s.config("")
	s.handMade("sup")
	id := systemID(s)
	u := s.run(conf)
	s.awaitPrimary()
	u.end()
	if now := systemID(s); now != id {
		t.Errorf("another database: %s, it was %s", now, id)
	}
}

func systemID(s *site) string {
	for line := range strings.Lines(s.sh([]string{"LC_ALL=C"}, "pg_controldata", "-D", s.path("pg"))) {
		if v, ok := strings.CutPrefix(line, "Database system identifier:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// A PostgreSQL that does not know the password is left running, and the start says whose password.
func TestWrongPassword(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	conf := s.config("")
	s.handMade("other")
	s.startByHand()
	err := s.try(conf)
	if err == nil || !strings.Contains(err.Error(), "postgresql.authentication.superuser") {
		t.Errorf("%v", err)
	}
	s.sh(nil, "pg_ctl", "-D", s.path("pg"), "status")
	s.sh(nil, "pg_ctl", "-D", s.path("pg"), "-w", "-m", "immediate", "stop")
}

// count is how many of the decisions did something.
func count(all []rest.DecisionRecord, action string) int {
	n := 0
	for _, d := range all {
		if slices.Contains(d.Actions, action) {
			n++
		}
	}
	return n
}

// A PostgreSQL that runs is taken over as it is: the same process, the same data.
func TestAdoptRunning(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	conf := s.config("")
	s.handMade("sup")
	s.startByHand()
	s.psql(portPostgres, "CREATE TABLE mine AS SELECT 42 AS answer")
	started := s.psql(portPostgres, "SELECT pg_postmaster_start_time()")
	u := s.run(conf)
	s.awaitPrimary()
	if now := s.psql(portPrimary, "SELECT pg_postmaster_start_time()"); now != started {
		t.Errorf("it was restarted: %s, it ran since %s", now, started)
	}
	u.end()
}
