package instance_test

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"quorate/internal/heard"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

func (n *node) read(name string) string {
	n.t.Helper()
	b, err := os.ReadFile(n.path(name))
	n.ok(err)
	return string(b)
}

func names(cs []postgres.Correction) string {
	var out []string
	for _, c := range cs {
		out = append(out, c.Name)
	}
	return strings.Join(out, " ")
}

func TestConfiguration(t *testing.T) {
	ctx := bounded(t)
	var said heard.Output
	a := newNode(t, "node-a", func(o *instance.Options) {
		o.Logger = slog.New(slog.NewTextHandler(io.MultiWriter(&said, testWriter{t}), nil))
	}).bootstrap()
	for q, want := range map[string]string{
		"SHOW wal_log_hints": "on", "SHOW hot_standby": "on", "SHOW restart_after_crash": "off", "SHOW wal_level": "replica", "SHOW cluster_name": "test",
		"SHOW max_connections": "30", "SHOW wal_retrieve_retry_interval": "500ms", "SHOW wal_sender_timeout": "5s", "SHOW max_wal_senders": "10",
		"SELECT rolreplication FROM pg_roles WHERE rolname = 'replicator'":                  "t",
		"SELECT has_function_privilege('rewinder', 'pg_read_binary_file(text)', 'execute')": "t",
	} {
		if got := a.sql(q); got != want {
			t.Errorf("%s: %q, want %q", q, got, want)
		}
	}
	if !strings.Contains(a.read("postgresql.conf"), "include 'postgresql.base.conf'") || !a.hasFile("postgresql.base.conf") {
		t.Error("the folder's own configuration is not included")
	}
	// Passwords are not in the log, and roles may be made again.
	a.ok(a.PostBootstrap(ctx))
	if log, err := os.ReadFile(a.LogFile()); err != nil || strings.Contains(string(log), password) {
		t.Errorf("a password is in the log, or there is no log: %v", err)
	}

	c := testConfig()
	c.HBA = []string{"host all all 127.0.0.1/32 md5", "host replication replicator 127.0.0.1/32 md5"}
	for k, v := range map[string]string{
		"max_connections": "40", "work_mem": "7MB", "wal_buffers": "zzz", "no_such_parameter": "1", "listen_addresses": "*", "max_wal_senders": "1", "custom.setting": "x",
	} {
		c.Params[k] = v
	}
	_, next := a.watchSamples(instance.MonitorOptions{Interval: 20 * time.Millisecond})
	corrections, err := a.Configure(ctx, c)
	a.ok(err)
	if got := names(corrections); got != "listen_addresses max_wal_senders no_such_parameter wal_buffers" {
		t.Errorf("corrected: %s", got)
	}
	if _, err := a.Configure(ctx, c); err != nil || strings.Count(said.String(), `setting=postgresql.parameters.max_wal_senders found=1 used=10 `) != 1 {
		t.Errorf("what is corrected is told once: %v\n%s", err, said.String())
	}
	a.await("SHOW work_mem", "7MB")
	a.await("SHOW custom.setting", "x")
	s := next("pending restart", func(s instance.Sample) bool { return len(s.Status.Pending) > 0 })
	if p := s.Status.Pending; len(p) != 1 || p[0] != (postgres.Pending{Name: "max_connections", Old: "30", New: "40"}) {
		t.Errorf("pending: %+v", p)
	}
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	next("no pending restart", func(s instance.Sample) bool { return s.Err == nil && len(s.Status.Pending) == 0 })
	a.await("SHOW max_connections", "40")

	// What ALTER SYSTEM says about what is the agent's does not count.
	a.sql("ALTER SYSTEM SET synchronous_standby_names = 'x'")
	a.sql("ALTER SYSTEM SET max_connections = 500")
	a.ok(a.Reload(ctx))
	if strings.Contains(a.read("postgresql.auto.conf"), "synchronous_standby_names") {
		t.Error("postgresql.auto.conf still says who is synchronous")
	}
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	a.await("SHOW max_connections", "40")

	// A file that PostgreSQL refuses as a whole is not put in place.
	before := a.read("postgresql.conf")
	c.CustomConf = "/nowhere/at-all.conf"
	_, err = a.Configure(ctx, c)
	a.wantErr(err, instance.ErrBadConfig)
	if a.read("postgresql.conf") != before {
		t.Error("a configuration that does not start was left in place")
	}
	c.CustomConf = ""
	c.HBA = []string{"nonsense"}
	_, err = a.Configure(ctx, c)
	a.wantErr(err, instance.ErrBadConfig)
}

// A standby must have as much room as its primary had, until the primary has run with less.
func TestStandbyIsRaisedToItsPrimary(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a")
	c := testConfig()
	c.Params["max_connections"] = "60"
	a.bootstrap()
	a.must(a.Configure(ctx, c))
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	b := newNode(t, "node-b").standbyOf(a)
	b.await("SHOW max_connections", "60")
	if got := names(b.Corrections(ctx)); got != "max_connections" {
		t.Errorf("corrected: %s", got)
	}
	_, next := b.watchSamples(instance.MonitorOptions{Interval: 20 * time.Millisecond})
	next("pending restart", func(s instance.Sample) bool { return s.Err == nil && len(s.Status.Pending) == 1 })

	a.must(a.Configure(ctx, testConfig()))
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	a.awaitStreaming("node-b")
	flushed := a.sql("CHECKPOINT; SELECT pg_current_wal_flush_lsn()")
	b.await("SELECT pg_last_wal_replay_lsn() >= '"+flushed+"'", "t")
	b.ok(b.Restart(ctx, instance.StopOptions{}))
	b.await("SHOW max_connections", "30")
}

// A refused operation leaves what the server follows as it is, and a folder in the making is not written to.
func TestRefusalsChangeNothing(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	b.wantErr(b.StartPrimary(ctx, postgres.SyncNames{Names: []string{"x"}}), instance.ErrRunning)
	b.wantErr(b.StartStandby(ctx, postgres.Upstream{}), instance.ErrRunning)
	if up := b.Upstream(); up.Port != a.port || !b.SyncNames().IsZero() || !b.hasFile("standby.signal") {
		t.Errorf("upstream %+v, names %v", up, b.SyncNames())
	}
	c := newNode(t, "node-c")
	c.write("PG_VERSION", "15\n")
	c.mark("clone")
	before := c.tree()
	c.must(c.Configure(ctx, testConfig()))
	if c.tree() != before {
		t.Error("a half copy was written to")
	}
}

func TestSlots(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.ok(a.SyncSlots(ctx, []string{"b", "c"}, nil))
	a.ok(a.EnsureSlot(ctx, "b"))
	if got := a.sql("SELECT string_agg(slot_name || ' ' || (restart_lsn IS NOT NULL), ',' ORDER BY slot_name) FROM pg_replication_slots"); got != "b true,c true" {
		t.Error(got)
	}
	before := a.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'b'")
	to, err := postgres.ParseLSN(a.sql("CREATE TABLE t(i int); SELECT pg_current_wal_flush_lsn()"))
	a.ok(err)
	a.ok(a.AdvanceSlot(ctx, "b", "", to))
	if got := a.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'b'"); got != to.String() {
		t.Errorf("advanced from %s to %s, want %s", before, got, to)
	}
	a.ok(a.AdvanceSlot(ctx, "b", "", to-100)) // never back
	a.ok(a.AdvanceSlot(ctx, "b", "", postgres.MaxLSN-1))
	if got := a.sql("SELECT restart_lsn <= pg_current_wal_flush_lsn() AND restart_lsn >= '" + to.String() + "' FROM pg_replication_slots WHERE slot_name = 'b'"); got != "t" {
		t.Error("moved back, or behind what is there")
	}
	a.ok(a.SyncSlots(ctx, nil, []string{"b", "c", "gone"}))
	if got := a.sql("SELECT count(*) FROM pg_replication_slots"); got != "0" {
		t.Errorf("%s slots", got)
	}
	if err := a.EnsureSlot(ctx, "Not-A-Slot"); err == nil {
		t.Error("a bad name was taken")
	}
}
