//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// TestHooksAndSlots loses a primary while one of the standbys refuses to lead by its pre_promote: the other one does, calls on_role_change, and has
// the slots of everybody, the lost host's too, whose log it kept. The consumer of the logical slot goes on where it was.
func TestHooksAndSlots(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(t)
	hosts, client := []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, l.Host(t, "app")
	ctx := patience(t)
	s, err := quoratestack.New(quoratestack.Options{
		Binary: path, Hosts: hosts, Router: client, DCS: map[string]string{"slots": "{backup: {type: physical}, cdc: {type: logical, database: postgres, plugin: test_decoding}}"},
		Parameters: map[string]string{"wal_level": "logical"},
	})
	must(t, err)
	for _, h := range hosts {
		must(t, addHooks(h))
	}
	for _, h := range append([]*lab.Host{client}, hosts...) {
		must(t, s.StartHost(h))
	}
	must(t, s.AwaitHealthy(ctx))
	primary := s.Primary(ctx)
	var standbys []*lab.Host
	for _, h := range hosts {
		if h != primary {
			standbys = append(standbys, h)
		}
	}
	refuses, leads := standbys[0], standbys[1]
	must(t, os.WriteFile(filepath.Join(refuses.Dir(), "refuse"), nil, 0o644))
	const count = "SELECT count(*) FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND slot_name = ANY('{%s}')"
	awaitSQL(t, ctx, s, primary, fmt.Sprintf(count, "backup,cdc,"+refuses.Name+","+leads.Name), "4")
	for _, h := range standbys {
		others := "backup," + primary.Name + "," + refuses.Name + "," + leads.Name
		awaitSQL(t, ctx, s, h, fmt.Sprintf(count, strings.Replace(others, ","+h.Name, "", 1)+",cdc"), "4")
	}
	must(t, runSQL(ctx, s, primary, "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 30000)"))
	awaitSQL(t, ctx, s, leads, fmt.Sprintf("SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), restart_lsn) < 8000000 FROM pg_replication_slots WHERE slot_name = '%s'", refuses.Name), "t")

	const where = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'cdc'"
	must(t, runSQL(ctx, s, primary, "CREATE TABLE changes AS SELECT 'taken' AS what"), runSQL(ctx, s, primary, "SELECT count(*) FROM pg_logical_slot_get_changes('cdc', NULL, NULL)"),
		runSQL(ctx, s, primary, "INSERT INTO changes VALUES ('left over')"))
	taken, err := askSQL(ctx, s, primary, where)
	must(t, err)
	for _, h := range standbys {
		awaitSQL(t, ctx, s, h, where, taken)
		eventuallyE2E(t, ctx, "the copy of "+h.Name+" is known to be safe", func() bool {
			return strings.Contains(agentLog(l, h), "Logical slot cdc is safe to be used after a failover")
		})
	}
	awaitSQL(t, ctx, s, leads, "SELECT count(*) FROM changes", "2")

	must(t, primary.PowerOff())
	eventuallyE2E(t, ctx, leads.Name+" leads", func() bool { return s.Primary(ctx) == leads })
	awaitSQL(t, ctx, s, leads, fmt.Sprintf(count, "backup,cdc,"+refuses.Name+","+primary.Name), "4")
	awaitSQL(t, ctx, s, leads, "SELECT string_agg(data, '; ') FROM pg_logical_slot_get_changes('cdc', NULL, NULL) WHERE data LIKE 'table public.changes%'",
		"table public.changes: INSERT: what[text]:'left over'")
	eventuallyE2E(t, ctx, "on_role_change of "+leads.Name, func() bool { return strings.Contains(calls(leads), "on_role_change primary lab") })
	if strings.Contains(calls(refuses), "on_role_change primary") {
		t.Errorf("%s has led although its pre_promote refuses:\n%s", refuses.Name, calls(refuses))
	}
	must(t, primary.PowerOn(), s.StartHost(primary), s.AwaitHealthy(ctx))
	eventuallyE2E(t, ctx, "the old primary's on_start as a replica", func() bool { return strings.Contains(calls(primary), "on_start replica lab") })
}

// addHooks adds hooks to a host's configuration: they note how they were called, and pre_promote asks a file.
func addHooks(h *lab.Host) error {
	note := filepath.Join(h.Dir(), "note")
	conf := filepath.Join(h.Dir(), "quorate.yml")
	text, err := os.ReadFile(conf)
	if err != nil {
		return err
	}
	text = fmt.Appendf(text, "  callbacks: {on_start: %[1]s, on_role_change: %[1]s, on_stop: %[1]s}\n  pre_promote: test ! -e %[2]s/refuse\n", note, h.Dir())
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
	}{{conf, string(text), 0o644}, {note, "#!/bin/sh\necho \"$@\" >> " + h.Dir() + "/calls\n", 0o755}, {h.Dir() + "/calls", "", 0o666}} {
		if err := os.WriteFile(f.path, []byte(f.text), f.mode); err != nil {
			return err
		}
		if err := os.Chmod(f.path, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func agentLog(l *lab.Lab, h *lab.Host) string {
	b, _ := os.ReadFile(filepath.Join(l.Logs(), h.Name, "quorate.log"))
	return string(b)
}

func calls(h *lab.Host) string {
	b, _ := os.ReadFile(filepath.Join(h.Dir(), "calls"))
	return string(b)
}

func askSQL(ctx context.Context, s *quoratestack.Stack, h *lab.Host, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := h.Run(ctx, lab.Spec{Args: []string{"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, strings.Replace(s.Local(h), "database=", "dbname=", 1)}})
	return strings.TrimSpace(out), err
}

func runSQL(ctx context.Context, s *quoratestack.Stack, h *lab.Host, sql string) error {
	_, err := askSQL(ctx, s, h, sql)
	return err
}

func awaitSQL(t *testing.T, ctx context.Context, s *quoratestack.Stack, h *lab.Host, sql, want string) {
	t.Helper()
	var have string
	eventuallyE2E(t, ctx, h.Name+": "+sql+" is "+want, func() bool {
		var err error
		have, err = askSQL(ctx, s, h, sql)
		return err == nil && have == want
	})
}

func eventuallyE2E(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not in time", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
