package instance

import (
	"context"
	"errors"
	"fmt"

	"quorate/pgctl/postgres"
)

// Codes of errors that say that a slot is already as it was to be, or of no use any more.
const (
	codeDuplicateObject = "42710"
	codeUndefinedObject = "42704"
	codeUndefinedFile   = "58P01" // the log that it needs has been removed
)

// SlotLost says whether an error of AdvanceSlot means that the slot can never be moved again.
func SlotLost(err error) bool {
	return sqlState(err) == codeUndefinedFile
}

// EnsureSlot makes a physical slot that keeps the log from now on. One of that name that is there is left as it is.
func (i *Instance) EnsureSlot(ctx context.Context, name string) error {
	err := i.slotSQL(ctx, name, "SELECT pg_catalog.pg_create_physical_replication_slot("+literal(name)+", true)")
	if sqlState(err) == codeDuplicateObject {
		return nil
	}
	return err
}

// DropSlot removes a slot; that there is none is no error. One that is in use cannot be dropped.
func (i *Instance) DropSlot(ctx context.Context, name string) error {
	err := i.slotSQL(ctx, name, "SELECT pg_catalog.pg_drop_replication_slot("+literal(name)+")")
	if sqlState(err) == codeUndefinedObject {
		return nil
	}
	return err
}

// AdvanceSlot moves a slot, a logical one in its database, forward, so that the log before to may go: on a standby, as far as the slot of the same name on the primary
// is. It never moves one back, and not behind what this server has replayed.
func (i *Instance) AdvanceSlot(ctx context.Context, name, database string, to postgres.LSN) error {
	if database == "" {
		database = i.settings().Database
	}
	sql := fmt.Sprintf(`SELECT pg_catalog.pg_replication_slot_advance(slot_name, least(%[2]s::pg_lsn, CASE WHEN pg_catalog.pg_is_in_recovery()
 THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END))
 FROM pg_catalog.pg_replication_slots WHERE slot_name = %[1]s AND NOT active AND coalesce(confirmed_flush_lsn, restart_lsn) < %[2]s::pg_lsn`, literal(name), literal(to.String()))
	return i.slotSQLIn(ctx, database, name, sql)
}

func (i *Instance) slotSQL(ctx context.Context, name, sql string) error {
	return i.slotSQLIn(ctx, i.settings().Database, name, sql)
}

func (i *Instance) slotSQLIn(ctx context.Context, database, name, sql string) error {
	if !postgres.ValidSlotName(name) {
		return fmt.Errorf("replication slot %q: not a name that a slot can have", name)
	}
	s, err := i.localTo(ctx, database, appName, nil)
	if err != nil {
		return fmt.Errorf("replication slot %s: %w", name, err)
	}
	defer s.close()
	if err := s.exec(ctx, sql); err != nil {
		return fmt.Errorf("replication slot %s: %w", name, err)
	}
	return nil
}

// EnsureLogicalSlot makes a logical slot in a database. One of that name that is there is left as it is. Failover (version 17) has standbys take it over
// by themselves.
func (i *Instance) EnsureLogicalSlot(ctx context.Context, name, database, plugin string, failover bool) error {
	more := ""
	if failover {
		more = ", failover => true"
	}
	sql := "SELECT pg_catalog.pg_create_logical_replication_slot(" + literal(name) + ", " + literal(plugin) + more + ")"
	err := i.slotSQLIn(ctx, database, name, sql)
	if sqlState(err) == codeDuplicateObject {
		return nil
	}
	return err
}

// SyncSlots drops the slots of drop, then makes the physical ones that are wanted. It goes on over what fails.
func (i *Instance) SyncSlots(ctx context.Context, want, drop []string) error {
	var errs []error
	for _, n := range drop {
		errs = append(errs, i.DropSlot(ctx, n))
	}
	for _, n := range want {
		errs = append(errs, i.EnsureSlot(ctx, n))
	}
	return errors.Join(errs...)
}
