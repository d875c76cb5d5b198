package node

import (
	"context"
	"errors"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/pgctl/postgres"
)

// setSlots changes replication slots beside whatever else goes on. It goes on over what fails: one slot in use must not hold up the others.
func (a *agent) setSlots(act ha.SetSlots) {
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	errs := []error{a.inst.SyncSlots(ctx, act.Want, act.Drop)}
	for name, s := range act.Logical {
		errs = append(errs, a.inst.EnsureLogicalSlot(ctx, name, s.Database, s.Plugin))
	}
	for name, to := range act.Advance {
		errs = append(errs, a.inst.AdvanceSlot(ctx, name, to))
	}
	err := errors.Join(errs...)
	if err != nil && a.ctx.Err() == nil {
		a.log.Warn("replication slots were not all set", "error", err)
	}
	s := a.fresh(a.ctx)
	phase := a.phase(s)
	a.loop.post(slotsEvent{err: err, at: boottime.Now(), change: func(p *ha.PG) { foldSample(p, s, phase) }})
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
