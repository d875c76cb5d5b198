package instance_test

import (
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// A standby keeps a copy of a slot, and moves it as the primary's moves; it never goes back, and no further than replay.
func TestSlotsOnAStandby(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	b.ok(b.SyncSlots(ctx, []string{"kept", "gone"}, nil))
	before := b.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'kept'")
	a.sql("CREATE TABLE t AS SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
	end, err := postgres.ParseLSN(a.sql("SELECT pg_current_wal_lsn()"))
	b.ok(err)
	b.await("SELECT pg_last_wal_replay_lsn() >= '"+end.String()+"'", "t")
	b.ok(b.AdvanceSlot(ctx, "kept", end))
	if got := b.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'kept'"); got == before {
		t.Errorf("the copy did not move from %s to %s", before, end)
	}
	b.ok(b.AdvanceSlot(ctx, "kept", 1))
	b.ok(b.SyncSlots(ctx, nil, []string{"gone", "never"}))
	if got := b.sql("SELECT string_agg(slot_name, ',') FROM pg_replication_slots"); got != "kept" {
		t.Errorf("slots: %s", got)
	}
	_, err = b.Promote(ctx, postgres.SyncNames{})
	b.ok(err)
	if got := b.sql("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'kept'"); got != "reserved" {
		t.Errorf("after the promotion: %s", got)
	}
}

func TestLogicalSlot(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	c := testConfig()
	c.Params["wal_level"] = "logical"
	a.must(a.Configure(ctx, c))
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	a.ok(a.EnsureLogicalSlot(ctx, "cdc", "postgres", "pgoutput"))
	a.ok(a.EnsureLogicalSlot(ctx, "cdc", "postgres", "pgoutput"))
	if got := a.sql("SELECT plugin || ' ' || database FROM pg_replication_slots WHERE slot_name = 'cdc'"); got != "pgoutput postgres" {
		t.Errorf("%s", got)
	}
	if err := a.EnsureLogicalSlot(ctx, "Bad Name", "postgres", "pgoutput"); err == nil {
		t.Error("a name that no slot can have was taken")
	}
}
