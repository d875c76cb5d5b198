package node

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/internal/config"
	"quorate/internal/freeport"
)

// A reload opens and closes the router's listeners; one that cannot be opened is told of, and leaves them as they were.
func TestReloadOfListeners(t *testing.T) {
	s := newSite(t)
	conf := s.config("")
	n := &Node{
		cfg: conf, current: conf, log: slog.New(slog.DiscardHandler), reg: prometheus.NewRegistry(),
		opt: Options{Reload: func() (*config.Config, error) { return s.load(), nil }},
	}
	if err := n.makeRouter(); err != nil {
		t.Fatal(err)
	}
	if err := n.startRouter(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.stopRouter(t.Context()) })
	open := func(port int) bool {
		c, err := net.Dial("tcp", s.addr(port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	if !open(portPrimary) || !open(portReplica) || open(portPeer) {
		t.Fatal("the ports at the start")
	}
	text := s.read("c.yml")
	moved := strings.ReplaceAll(text, s.addr(portReplica), s.addr(portREST)) // which nobody uses here
	moved = strings.ReplaceAll(moved, "restapi: {listen: \""+s.addr(portREST), "restapi: {listen: \""+s.addr(portReplica))
	s.write("c.yml", moved)
	if err := n.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !open(portPrimary) || open(portReplica) || !open(portREST) {
		t.Error("the ports after the reload")
	}
	taken, err := net.Listen("tcp", s.addr(portReplica))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.write("c.yml", text)
	if err := n.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a reload to a port in use: %v", err)
	}
	if !open(portPrimary) || !open(portREST) {
		t.Error("a reload that failed has changed the ports")
	}
}

// The other settings of the router take effect by a reload, too: its statistics move, and what is read when it is needed is the newest.
func TestReloadOfTheRoutersSettings(t *testing.T) {
	s := newSite(t)
	conf := s.config("")
	n := &Node{
		cfg: conf, current: conf, log: slog.New(slog.DiscardHandler), reg: prometheus.NewRegistry(),
		opt: Options{Reload: func() (*config.Config, error) { return s.load(), nil }},
	}
	if err := errors.Join(n.makeRouter(), n.startRouter(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.stopRouter(t.Context()) })
	t.Cleanup(func() { _ = n.stats.close() })
	address := freeport.Addr(t)
	served := func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	text := s.read("c.yml")
	s.write("c.yml", strings.Replace(text, "proxy: {", "proxy: {max_sessions: 7, drain_timeout: 9s, stats_listen: '"+address+"', ", 1))
	if err := n.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.drainTimeout() != 9*time.Second || n.router.Status().Capacity != 7 || !served() {
		t.Errorf("after the reload: drain %s, %d sessions, statistics %v", n.drainTimeout(), n.router.Status().Capacity, served())
	}
	s.write("c.yml", text)
	if err := n.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.drainTimeout() != drainDefault || n.router.Status().Capacity == 7 || served() {
		t.Errorf("and back: drain %s, %d sessions, statistics %v", n.drainTimeout(), n.router.Status().Capacity, served())
	}
}

// A setting that takes effect at the next start only is told as long as it differs from what runs, and no more once it is put back.
func TestReloadPutsBack(t *testing.T) {
	s := newSite(t)
	conf := s.config("")
	n := &Node{
		cfg: conf, current: conf, log: slog.New(slog.NewTextHandler(s.log, nil)),
		opt: Options{Reload: func() (*config.Config, error) { return s.load(), nil }},
	}
	text := s.read("c.yml")
	for i, step := range []struct {
		text  string
		later int // how often that was told, so far
	}{{text + "namespace: other\n", 1}, {text + "namespace: other\ntags: {a: 1}\n", 2}, {text, 2}} {
		s.write("c.yml", step.text)
		if err := n.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(s.log.String(), "take effect at the next start of this process only\" settings=[namespace]"); got != step.later {
			t.Errorf("step %d: told %d times: %s", i, got, s.log)
		}
	}
}

// What the member's own file says of PostgreSQL changes by a reload: the password file, the programs, the database and the watchdog at once, the port by
// the restart that is pending from then on. Until that has come the member key tells the port that is served.
func TestReloadOfPostgreSQL(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	u := s.run(s.config("  database: template1\n  pgpass: " + s.path("first.pass") + "\n"))
	s.awaitPrimary()
	if !strings.Contains(s.read("first.pass"), ":rep") {
		t.Error("postgresql.pgpass is not the password file")
	}
	agents := func(port int) string {
		return s.sh([]string{"PGPASSWORD=sup"}, "psql", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "postgres", "-Atqc",
			"SELECT string_agg(DISTINCT datname, ' ') FROM pg_stat_activity WHERE application_name LIKE 'Quorate heartbeat%'", "postgres")
	}
	if got := agents(s.ports[portPostgres]); got != "template1" {
		t.Errorf("the agent looks at PostgreSQL by the database %q", got)
	}
	moved := freeport.Port(t)
	text0 := s.read("c.yml")
	text := text0
	for from, to := range map[string]string{
		s.addr(portPostgres): "127.0.0.1:" + strconv.Itoa(moved), s.path("first.pass"): s.path("second.pass"), "template1": "postgres\n  bin_dir: " + binDir(),
	} {
		text = strings.ReplaceAll(text, from, to)
	}
	s.write("c.yml", text+"watchdog: {mode: 'off'}\n")
	if err := u.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitText("second.pass", ":rep")
	eventually(t, "the restart that is pending", func() bool {
		_, status := s.do("GET", "/patroni", "")
		return strings.Contains(status, `"port": {"old_value": "`+strconv.Itoa(s.ports[portPostgres])+`", "new_value": "`+strconv.Itoa(moved)+`"}`)
	})
	asMoved := s.read("c.yml") // put back, it waits for nothing
	s.write("c.yml", text0)
	if err := u.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(s.log.String(), "postgresql.listen takes effect"); got != 1 {
		t.Errorf("a restart for another address was asked for %d times", got)
	}
	s.write("c.yml", asMoved)
	if err := u.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := func() string { _, body := s.do("GET", "/cluster", ""); return body }
	if !strings.Contains(told(), `"port": `+strconv.Itoa(s.ports[portPostgres])+",") {
		t.Errorf("the others are sent elsewhere before PostgreSQL is there: %s", told())
	}
	s.psql(portPrimary, "SELECT 1")
	eventually(t, "the watchdog off", func() bool { st, _ := u.agent.guard.Status(); return st.Watchdog == "off" })
	if code, text := s.do("POST", "/restart", "{}"); code != 200 {
		t.Fatalf("restart: %d %s", code, text)
	}
	eventually(t, "the new port in the member key", func() bool { return strings.Contains(told(), `"port": `+strconv.Itoa(moved)+",") })
	s.psql(portPrimary, "SELECT 1")
	eventually(t, "the agent in its new database", func() bool { return agents(moved) == "postgres" })
	if strings.Contains(s.log.String(), "take effect at the next start") {
		t.Error("something waits for the next start of the agent")
	}
	u.end()
}
