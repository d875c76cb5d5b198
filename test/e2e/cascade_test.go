//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// TestCascade has pg3 stream from pg2 by its tag, loses what is in between, gets it back, and loses the primary.
func TestCascade(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	l := lab.ForTest(t)
	pg1, pg2, pg3, app := l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3"), l.Host(t, "app")
	s, err := quoratestack.New(quoratestack.Options{
		Binary: program(t), Hosts: []*lab.Host{pg1, pg2, pg3}, Router: app,
		Tags: map[string]string{"pg3": "{replicatefrom: pg2, nofailover: true, noloadbalance: true}"},
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	for _, h := range []*lab.Host{app, pg1, pg2, pg3} {
		must(t, s.StartHost(h))
	}
	attached := func(h *lab.Host, want string) {
		t.Helper()
		eventually(t, ctx, h.Name+"'s standbys", func() error {
			got, err := query(ctx, app, s.Direct(h), "SELECT coalesce(string_agg(application_name, ',' ORDER BY application_name), '') FROM pg_stat_replication WHERE state = 'streaming'")
			if err == nil && got != want {
				err = fmt.Errorf("found %q, expected %q", got, want)
			}
			return err
		})
	}
	slots := func(h *lab.Host, want string) {
		t.Helper()
		eventually(t, ctx, h.Name+"'s slots", func() error {
			got, err := query(ctx, app, s.Direct(h), "SELECT coalesce(string_agg(slot_name, ',' ORDER BY slot_name), '') FROM pg_replication_slots")
			if err == nil && got != want {
				err = fmt.Errorf("found %q, expected %q", got, want)
			}
			return err
		})
	}
	row := 0
	written := func(hosts ...*lab.Host) {
		t.Helper()
		row++
		eventually(t, ctx, "a write", func() error {
			_, err := query(ctx, app, s.Target(), fmt.Sprintf("CREATE TABLE IF NOT EXISTS log(n int PRIMARY KEY); INSERT INTO log VALUES (%d) ON CONFLICT DO NOTHING", row))
			return err
		})
		for _, h := range hosts {
			eventually(t, ctx, fmt.Sprintf("row %d at %s", row, h.Name), func() error {
				got, err := query(ctx, app, s.Direct(h), "SELECT max(n) FROM log")
				if err == nil && got != fmt.Sprint(row) {
					err = fmt.Errorf("found %q", got)
				}
				return err
			})
		}
	}

	written(pg1, pg2, pg3)
	if s.Primary(ctx) != pg1 {
		eventually(t, ctx, "switchover to pg1", func() error { return s.Switchover(ctx, pg2, pg1) })
	}
	attached(pg1, "pg2")
	attached(pg2, "pg3")
	slots(pg1, "pg2,pg3") // pg3's is for when pg2 is lost
	slots(pg2, "pg1,pg3") // a standby keeps one for whoever would stream from it as the leader, too
	written(pg2, pg3)
	end, err := query(ctx, app, s.Direct(pg1), "SELECT pg_current_wal_flush_lsn()")
	must(t, err)
	eventually(t, ctx, "the slot that nobody uses to be moved", func() error {
		got, err := query(ctx, app, s.Direct(pg1), "SELECT NOT active AND restart_lsn >= '"+end+"' FROM pg_replication_slots WHERE slot_name = 'pg3'")
		if err == nil && got != "t" {
			err = fmt.Errorf("idle, and moved to the end: %s", got)
		}
		return err
	})

	must(t, pg2.PowerOff())
	attached(pg1, "pg3")
	written(pg3)
	must(t, pg2.PowerOn(), s.StartHost(pg2))
	attached(pg1, "pg2")
	attached(pg2, "pg3")
	slots(pg1, "pg2,pg3")
	written(pg2, pg3)

	must(t, pg1.PowerOff())
	written(pg2, pg3)
	attached(pg2, "pg3")
	must(t, pg1.PowerOn(), s.StartHost(pg1))
	attached(pg2, "pg1,pg3")
	written(pg1, pg2, pg3)
}
