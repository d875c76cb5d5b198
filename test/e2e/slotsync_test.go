//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// TestSlotSync leaves a permanent logical slot to PostgreSQL's own synchronisation (version 17, sync_replication_slots): it is a failover slot, the
// standbys' copies are the server's, and after the primary's host is lost its consumer goes on where it was.
func TestSlotSync(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", "ls -d /usr/lib/postgresql/1[7-9] /usr/lib/postgresql/[2-9]?").Output(); err != nil && len(out) == 0 {
		t.Skip("needs PostgreSQL 17 (scripts/test-versions has it)")
	}
	path := program(t)
	l := lab.ForTest(t)
	hosts, client := []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, l.Host(t, "app")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // a worker at rest looks every 30 s
	defer cancel()
	s, err := quoratestack.New(quoratestack.Options{
		Binary: path, Hosts: hosts, Router: client, DCS: map[string]string{"slots": "{cdc: {type: logical, database: postgres, plugin: test_decoding}}"},
		Parameters: map[string]string{"wal_level": "logical", "sync_replication_slots": "on", "hot_standby_feedback": "on"},
	})
	must(t, err)
	for _, h := range append([]*lab.Host{client}, hosts...) {
		must(t, s.StartHost(h))
	}
	must(t, s.AwaitHealthy(ctx))
	primary := s.Primary(ctx)
	awaitSQL(t, ctx, s, primary, "SELECT failover FROM pg_replication_slots WHERE slot_name = 'cdc'", "t")
	must(t, runSQL(ctx, s, primary, "CREATE TABLE changes AS SELECT 'taken' AS what"))
	copied := func(h, leads *lab.Host) {
		t.Helper()
		// PostgreSQL keeps a copy as soon as its consumer has come past what the standby has still got (manual, section 47.2.3).
		eventuallyE2E(t, ctx, "PostgreSQL keeps a copy on "+h.Name, func() bool {
			must(t, runSQL(ctx, s, leads, "SELECT count(*) FROM pg_logical_slot_get_changes('cdc', NULL, NULL), pg_log_standby_snapshot()"))
			got, err := askSQL(ctx, s, h, "SELECT synced AND NOT temporary FROM pg_replication_slots WHERE slot_name = 'cdc'")
			return err == nil && got == "t"
		})
	}
	for _, h := range hosts {
		if h != primary {
			copied(h, primary)
		}
	}
	must(t, runSQL(ctx, s, primary, "INSERT INTO changes VALUES ('left over')"))
	taken, err := askSQL(ctx, s, primary, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'cdc'")
	must(t, err)
	for _, h := range hosts {
		if h != primary {
			awaitSQL(t, ctx, s, h, "SELECT confirmed_flush_lsn = '"+taken+"' FROM pg_replication_slots WHERE slot_name = 'cdc'", "t")
			awaitSQL(t, ctx, s, h, "SELECT count(*) FROM changes", "2")
		}
	}
	must(t, primary.PowerOff())
	eventuallyE2E(t, ctx, "another one leads", func() bool { p := s.Primary(ctx); return p != nil && p != primary })
	leads := s.Primary(ctx)
	awaitSQL(t, ctx, s, leads, "SELECT string_agg(data, '; ') FROM pg_logical_slot_get_changes('cdc', NULL, NULL) WHERE data LIKE 'table public.changes%'",
		"table public.changes: INSERT: what[text]:'left over'")
	for _, h := range hosts {
		if h != primary && strings.Contains(agentLog(l, h), "is safe to be used after a failover") {
			t.Errorf("%s has carried a copy of its own beside PostgreSQL's", h.Name)
		}
	}
	must(t, primary.PowerOn(), s.StartHost(primary), s.AwaitHealthy(ctx))
	copied(primary, leads) // its own slot, in the way of the copy, has gone
}
