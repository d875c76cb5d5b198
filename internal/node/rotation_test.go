package node

import (
	"net/http"
	"strings"
	"testing"
)

// The passwords of PostgreSQL's roles and of the API change while the host runs: by a reload, with no restart of anything.
func TestPasswordsByReload(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	const api = "restapi: {authentication: {username: ops, password: %}, "
	rewrite := func(from, to string) {
		t.Helper()
		text := s.read("c.yml")
		if !strings.Contains(text, from) {
			t.Fatalf("no %q in %s", from, text)
		}
		s.write("c.yml", strings.ReplaceAll(text, from, to))
	}
	s.config("")
	rewrite("restapi: {", strings.Replace(api, "%", "one", 1))
	u := s.run(s.load())
	s.awaitPrimary()
	started := s.psql(portPostgres, "SELECT pg_postmaster_start_time()")
	const look = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name LIKE 'Quorate%'"
	old := s.psql(portPostgres, look)
	rewrite("password: sup", "password: sup2")
	rewrite("password: rep", "password: rep2")
	rewrite("password: one", "password: two")
	if got := s.as("one", "POST", "/reload"); got != 202 {
		t.Fatalf("reload: %d", got)
	}
	eventually(t, "the new password of the API", func() bool { return s.as("two", "DELETE", "/restart") == 404 })
	if got := s.as("one", "DELETE", "/restart"); got != 401 {
		t.Errorf("the API's old password: %d", got)
	}
	eventually(t, "the new passwords in the file", func() bool { return strings.Contains(s.read("pg.quorate/pgpass"), "sup2") })
	s.psql(portPostgres, "ALTER ROLE postgres PASSWORD 'sup2'")
	ask := func(sql string) string {
		return s.sh([]string{"PGPASSFILE=" + s.path("pg.quorate/pgpass")}, "psql", "-h", "127.0.0.1", "-p", strings.Split(s.addr(portPostgres), ":")[1], "-U", "postgres", "-Atqc", sql, "postgres")
	}
	ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'Quorate%'")
	eventually(t, "the agent's look on a new connection", func() bool {
		got := ask(look)
		return got != "" && got != old && s.status().State == "running"
	})
	if got := ask("SELECT pg_postmaster_start_time()"); got != started {
		t.Errorf("PostgreSQL was started again: %s, then %s", started, got)
	}
	if strings.Contains(s.log.String(), "take effect at the next start") {
		t.Error("something waits for the next start")
	}
	u.end()
}

// as asks the API with a password and is the code of the answer.
func (s *site) as(password, method, path string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr(portREST)+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("ops", password)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}
