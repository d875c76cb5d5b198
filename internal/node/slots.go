package node

import (
	"context"
	"errors"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// setSlots changes replication slots beside whatever else goes on. It goes on over what fails: one slot in use must not hold up the others.
func (a *agent) setSlots(act ha.SetSlots) {
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	errs := []error{a.inst.SyncSlots(ctx, act.Want, act.Drop)}
	sample, _ := a.seen.get()
	for name, s := range act.Logical {
		errs = append(errs, a.inst.EnsureLogicalSlot(ctx, name, s.Database, s.Plugin, sample.Status.SlotSync))
	}
	rows := slotRows(sample.Status)
	for name, to := range act.Advance {
		err := a.advance(ctx, rows[name], name, to)
		if err != nil && rows[name].Logical && instance.SlotLost(err) {
			// The copy can never be moved again: another one is made.
			a.log.Warn("the copy of a logical slot has lost what it needs and is made anew", "slot", name, "error", err)
			err = a.inst.DropSlot(ctx, name)
		}
		errs = append(errs, err)
	}
	if len(act.Advance) > 0 {
		a.lookAtCopies(ctx)
	}
	err := errors.Join(errs...)
	if err != nil && a.ctx.Err() == nil {
		a.log.Warn("replication slots were not all set", "error", err)
	}
	s := a.fresh(a.ctx)
	phase := a.phase(s)
	a.loop.post(slotsEvent{err: err, at: boottime.Now(), change: func(p *ha.PG) { foldSample(p, s, phase) }})
}

// advance moves a slot. That of a logical one decodes the log in between, which takes its time.
func (a *agent) advance(ctx context.Context, row postgres.Slot, name string, to postgres.LSN) error {
	if row.Logical {
		long, cancel := context.WithTimeout(a.ctx, advanceTimeout)
		defer cancel()
		ctx = long
	}
	return a.inst.AdvanceSlot(ctx, name, row.Database, to)
}

// slotsEvent ends a SetSlots, with a sample from after it.
type slotsEvent struct {
	err    error
	at     boottime.Instant
	change func(*ha.PG)
}

func (e slotsEvent) fold(k *known) {
	k.free(ha.LaneSlots)
	e.change(&k.pg)
	k.pg.SlotsFailed = 0
	if e.err != nil {
		k.pg.SlotsFailed = e.at
	}
}

// slotRows are the slots by name.
func slotRows(st postgres.Status) map[string]postgres.Slot {
	out := make(map[string]postgres.Slot, len(st.Slots))
	for _, s := range st.Slots {
		out[s.Name] = s
	}
	return out
}
