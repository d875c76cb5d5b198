package instance_test

import (
	"fmt"
	"os"
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
	b.ok(b.AdvanceSlot(ctx, "kept", "", end))
	if got := b.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'kept'"); got == before {
		t.Errorf("the copy did not move from %s to %s", before, end)
	}
	b.ok(b.AdvanceSlot(ctx, "kept", "", 1))
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
	a.ok(a.EnsureLogicalSlot(ctx, "cdc", "postgres", "pgoutput", false))
	a.ok(a.EnsureLogicalSlot(ctx, "cdc", "postgres", "pgoutput", false))
	if got := a.sql("SELECT plugin || ' ' || database FROM pg_replication_slots WHERE slot_name = 'cdc'"); got != "pgoutput postgres" {
		t.Errorf("%s", got)
	}
	if err := a.EnsureLogicalSlot(ctx, "Bad Name", "postgres", "pgoutput", false); err == nil {
		t.Error("a name that no slot can have was taken")
	}
}

// A logical slot is copied to a standby, moved there, and goes on after the promotion where its consumer was: no change is missed.
func TestLogicalSlotOnAStandby(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	c := testConfig()
	c.Params["wal_level"], c.Params["hot_standby_feedback"] = "logical", "on"
	a.must(a.Configure(ctx, c))
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	a.ok(a.EnsureLogicalSlot(ctx, "cdc", "postgres", "test_decoding", false))
	a.ok(a.EnsureSlot(ctx, "node_b"))
	b := newNode(t, "node-b")
	b.must(b.Configure(ctx, c))
	b.standbyOf(a)

	found, _, err := b.SourceSlots(ctx, "127.0.0.1", a.port, "node_b", []string{"cdc", "never"})
	b.ok(err)
	if len(found) != 1 || found[0].Name != "cdc" || found[0].Restart == 0 || found[0].CatalogXmin == 0 {
		t.Fatalf("slots: %+v", found)
	}
	if err := b.PlaceSlots(ctx, instance.SlotCopy{Slots: found}); err == nil {
		t.Fatal("slots were placed under a running server")
	}
	had := b.sql("SELECT count(*) FROM pg_ls_waldir()")
	c1, err := b.PrepareSlots(ctx, "127.0.0.1", a.port, found)
	b.ok(err)
	if len(c1.Slots) != 1 || len(c1.TooOld) != 0 {
		t.Fatalf("can be copied: %v, not: %v", c1.Slots, c1.TooOld)
	}
	up := b.Upstream()
	up.Slot = "node_b"
	b.ok(b.Stop(ctx, instance.StopOptions{}))
	b.ok(b.PlaceSlots(ctx, c1))
	b.ok(b.StartStandby(ctx, up))
	if got := b.sql("SELECT count(*) FROM pg_ls_waldir()"); got <= had {
		t.Errorf("the log that the slot begins with did not come along: %s files, before %s", got, had) // a new copy begins with a segment of its own
	}
	if got := b.sql("SELECT plugin || ' ' || database || ' ' || active FROM pg_replication_slots WHERE slot_name = 'cdc'"); got != "test_decoding postgres false" {
		t.Fatalf("the copy: %q", got)
	}

	a.sql("CREATE TABLE changes AS SELECT 'taken' AS what")
	taken := a.sql("SELECT count(*) FROM pg_logical_slot_get_changes('cdc', NULL, NULL)")
	if taken == "0" {
		t.Fatal("nothing was decoded")
	}
	at, err := postgres.ParseLSN(a.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'cdc'"))
	b.ok(err)
	a.sql("INSERT INTO changes VALUES ('left over')")
	end := a.sql("SELECT pg_current_wal_lsn()")
	b.await("SELECT pg_last_wal_replay_lsn() >= '"+end+"'", "t")
	b.ok(b.AdvanceSlot(ctx, "cdc", "postgres", at))
	b.await("SELECT confirmed_flush_lsn = '"+at.String()+"' FROM pg_replication_slots WHERE slot_name = 'cdc'", "t")
	a.await("SELECT catalog_xmin IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'node_b'", "t")

	_, err = b.Promote(ctx, postgres.SyncNames{})
	b.ok(err)
	b.sql("INSERT INTO changes VALUES ('new')")
	if got := b.sql("SELECT string_agg(substring(data from '''(.*)'''), ', ') FROM pg_logical_slot_get_changes('cdc', NULL, NULL) WHERE data LIKE 'table%'"); got != "left over, new" {
		t.Errorf("after the promotion the consumer gets %q", got)
	}
}

// A slot whose log is nowhere is not copied: it could never be moved. One that begins too far back is not either.
func TestSlotWithoutItsLog(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a", func(o *instance.Options) { o.FetchLimit = 4 << 20 })
	a.bootstrap()
	segment := int64(1) << 20 // as the tests' initdb has it
	from := a.lsn()
	for range 8 {
		a.sql("SELECT txid_current()")
		a.sql("SELECT pg_switch_wal()")
	}
	a.sql("CREATE TABLE t ()") // it is on disk, and so is its segment
	at := a.lsn()
	for n := int64(from) / segment; n < int64(at)/segment; n++ {
		a.ok(os.Remove(a.path("pg_wal", fmt.Sprintf("%08X%08X%08X", 1, n/4096, n%4096))))
	}
	slots := []instance.RemoteSlot{{Name: "far", Restart: from}, {Name: "new", Restart: at}}
	copied, err := a.PrepareSlots(ctx, "127.0.0.1", a.port, slots)
	a.ok(err)
	if len(copied.Slots) != 1 || copied.Slots[0].Name != "new" || len(copied.TooOld) != 1 {
		t.Errorf("can be copied: %v, not: %v", copied.Slots, copied.TooOld)
	}
	slots[0].Restart = at - postgres.LSN(3*segment)
	if _, err := a.PrepareSlots(ctx, "127.0.0.1", a.port, slots); err == nil {
		t.Error("log that nobody has was fetched")
	}
}

func (n *node) lsn() postgres.LSN {
	n.t.Helper()
	at, err := postgres.ParseLSN(n.sql("SELECT pg_current_wal_lsn()"))
	n.ok(err)
	return at
}
