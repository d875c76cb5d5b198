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

// TestMaintenance does what operators plan: a replica with a delay, which comes back by the archive when the log that it needs is gone from the
// primary; a restart and a switchover at a time that was set before; and a doctor's visit, while the primary's callback hangs.
func TestMaintenance(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(t)
	pg1, pg2, late, client := l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3"), l.Host(t, "app")
	ctx, cancel := context.WithTimeout(t.Context(), 180*time.Second)
	defer cancel()
	archive := filepath.Join(late.Dir(), "archive")
	must(t, os.Mkdir(archive, 0o777), os.Chmod(archive, 0o777))
	s, err := quoratestack.New(quoratestack.Options{
		Binary: path, Hosts: []*lab.Host{pg1, pg2, late}, Router: client, DCS: map[string]string{"member_slots_ttl": "0"},
		Parameters: map[string]string{
			"archive_mode": "on", "archive_command": "test -f " + archive + "/%f || cp %p " + archive + "/%f.part && mv " + archive + "/%f.part " + archive + "/%f", "wal_keep_size": "0",
		},
		Tags: map[string]string{"pg3": "{nofailover: true}"},
	})
	must(t, err)
	addLines := func(h *lab.Host, text string) {
		t.Helper()
		conf := filepath.Join(h.Dir(), "quorate.yml")
		was, err := os.ReadFile(conf)
		must(t, err, os.WriteFile(conf, append(was, text...), 0o644))
	}
	for _, h := range []*lab.Host{pg1, pg2} {
		addLines(h, "  callbacks: {on_role_change: sleep 1000}\n")
	}
	addLines(late, fmt.Sprintf("  recovery_conf:\n    recovery_min_apply_delay: 3s\n    restore_command: cp %[1]s/%%f %%p && echo %%f >>%[1]s/restored\n", archive))
	for _, h := range []*lab.Host{client, pg1, pg2, late} {
		must(t, s.StartHost(h))
	}
	must(t, s.AwaitHealthy(ctx))
	primary, standby := s.Primary(ctx), pg1
	if primary == pg1 {
		standby = pg2
	}

	appears := func(row int) {
		t.Helper()
		eventuallyE2E(t, ctx, "the delayed row", func() bool {
			got, err := askSQL(ctx, s, late, fmt.Sprintf("SELECT clock_timestamp() - at >= '3s' FROM delayed WHERE n = %d", row))
			if err == nil && got == "f" {
				t.Fatalf("row %d was there before its delay was over", row)
			}
			return err == nil && got == "t"
		})
	}
	must(t, runSQL(ctx, s, primary, "CREATE TABLE delayed AS SELECT 1 AS n, clock_timestamp() AS at"))
	appears(1)

	must(t, late.PowerOff())
	awaitSQL(t, ctx, s, primary, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pg3'", "0") // member_slots_ttl
	first, err := askSQL(ctx, s, primary, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	must(t, err)
	eventuallyE2E(t, ctx, "the log has gone from the primary", func() bool {
		for _, sql := range []string{"INSERT INTO delayed VALUES (2, clock_timestamp())", "SELECT pg_switch_wal()", "CHECKPOINT"} {
			if err := runSQL(ctx, s, primary, sql); err != nil {
				t.Fatal(err)
			}
		}
		got, err := askSQL(ctx, s, primary, "SELECT count(*) FROM pg_ls_waldir() WHERE name = '"+first+"'")
		return err == nil && got == "0"
	})
	must(t, runSQL(ctx, s, primary, "INSERT INTO delayed VALUES (3, clock_timestamp())"))
	must(t, late.PowerOn(), s.StartHost(late))
	appears(3)
	if got, err := os.ReadFile(filepath.Join(archive, "restored")); err != nil || !strings.Contains(string(got), first) {
		t.Errorf("restored from the archive: %q, %v; %s should be among it", got, err, first)
	}
	awaitSQL(t, ctx, s, primary, "SELECT state FROM pg_stat_replication WHERE application_name = 'pg3'", "streaming")

	run := func(args ...string) string {
		t.Helper()
		out, err := s.Run(ctx, primary, args...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	const started = "SELECT extract(epoch FROM pg_postmaster_start_time())::bigint"
	at := time.Now().Add(4 * time.Second).Truncate(time.Second)
	run("restart", "lab", standby.Name, "--scheduled", at.Format(time.RFC3339), "--force")
	awaitSQL(t, ctx, s, standby, fmt.Sprintf("SELECT extract(epoch FROM pg_postmaster_start_time()) >= %d", at.Unix()), "t")
	before, err := askSQL(ctx, s, primary, started)
	must(t, err)

	at = time.Now().Add(4 * time.Second).Truncate(time.Second)
	run("switchover", "lab", "--candidate", standby.Name, "--scheduled", at.Format(time.RFC3339), "--force")
	if got := run("list", "lab"); !strings.Contains(got, "Switchover scheduled at: ") || !strings.Contains(got, "to: "+standby.Name) {
		t.Errorf("list does not tell of the scheduled switchover:\n%s", got)
	}
	eventuallyE2E(t, ctx, standby.Name+" leads", func() bool { return s.Primary(ctx) == standby })
	if time.Now().Before(at) {
		t.Errorf("the switchover came before its time, %s", at)
	}
	must(t, s.AwaitHealthy(ctx))
	awaitSQL(t, ctx, s, primary, started+" > "+before, "t") // its callback hangs all the while

	if out, err := s.Run(ctx, primary, "doctor", "--sync-time", "200ms"); err != nil || !strings.Contains(out, "rules found nothing: ") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}
