package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// copySlots copies logical slots of the leader. PostgreSQL is stopped only when there is something to copy that this server can use; whatever then
// happens, it is started again.
func (a *agent) copySlots(act ha.CopySlots) (func(*ha.PG), error) {
	tried := func(p *ha.PG) { p.SlotsCopied = boottime.Now() }
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	host, port, err := a.addressOf(ctx, act.Leader)
	if err != nil {
		return tried, err
	}
	found, _, err := a.inst.SourceSlots(ctx, host, port, postgres.SlotName(a.cfg.Name), act.Names)
	if err != nil {
		return tried, err
	}
	slots, err := a.inst.PrepareSlots(ctx, host, port, found)
	if err != nil {
		return tried, err
	}
	if len(slots.TooOld) > 0 {
		a.log.Warn("logical slots are not copied: the log that they begin with is not here any more, and is too much to fetch. They are copied once their consumer has moved on",
			"slots", slots.TooOld)
	}
	if len(slots.Slots) == 0 {
		return tried, nil
	}
	a.beforeStop()
	defer a.stopHook.Store(false)
	stop, cancelStop := context.WithTimeout(a.ctx, stopTimeout+shortTimeout)
	defer cancelStop()
	if err := a.inst.Stop(stop, instance.StopOptions{Mode: instance.StopFast, Checkpoint: true, Timeout: stopTimeout}); err != nil {
		return tried, err
	}
	err = a.inst.PlaceSlots(stop, slots)
	if err == nil {
		a.carried.made(slots.Slots)
		a.log.Info("copied the logical slots of the leader", "leader", act.Leader.Name, "slots", slotNames(slots.Slots))
	}
	started, errStart := a.startStandby(act.Upstream)
	return func(p *ha.PG) {
		tried(p)
		if started != nil {
			started(p)
		}
	}, errors.Join(err, errStart)
}

func slotNames(all []instance.RemoteSlot) []string {
	var out []string
	for _, s := range all {
		out = append(out, s.Name)
	}
	return out
}

// lookAtCopies asks the leader, while there are copies that are not known to be safe yet.
func (a *agent) lookAtCopies(ctx context.Context) {
	names := a.carried.open()
	v := a.pub.view.Load()
	if len(names) == 0 || v == nil || v.cluster == nil || v.cluster.Leader == nil {
		return
	}
	m, _ := v.cluster.Member(v.cluster.LeaderName())
	host, port, err := a.addressOf(ctx, ha.Upstream{Name: m.Name, Conn: m.ConnURL, Term: v.cluster.Leader.Term})
	if err != nil {
		return
	}
	theirs, feedback, err := a.inst.SourceSlots(ctx, host, port, postgres.SlotName(a.cfg.Name), names)
	if err != nil {
		a.log.Debug("cannot see yet whether the copies of logical slots are safe", "error", err)
		return
	}
	sample, _ := a.seen.get()
	for _, n := range a.carried.look(theirs, feedback, slotRows(sample.Status)) {
		a.log.Info(fmt.Sprintf("Logical slot %s is safe to be used after a failover", n))
	}
}

// copies are the logical slots that this standby has copied and that are not known to be safe yet. A copy needs catalog rows that the primary's vacuum
// may remove until it hears of the copy by hot_standby_feedback. From when that has arrived, the primary's own slot kept what was newer than its
// catalog_xmin of then, so that a copy is whole once it has moved up to there (pull request 1820 of Patroni).
type copies struct {
	mu   sync.Mutex
	safe map[string]uint32 // by slot: the catalog_xmin from which on it is whole; 0: the feedback has not arrived yet
}

func (c *copies) made(slots []instance.RemoteSlot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.safe == nil {
		c.safe = map[string]uint32{}
	}
	for _, s := range slots {
		c.safe[s.Name] = 0
	}
}

func (c *copies) open() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.safe))
}

// forget leaves them to be what they are.
func (c *copies) forget() []string {
	names := c.open()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.safe = nil
	return names
}

// look compares with the primary's slots, of which feedback is the catalog_xmin of this standby's own, and says which copies have become safe.
func (c *copies) look(theirs []instance.RemoteSlot, feedback uint32, own map[string]postgres.Slot) (ready []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if feedback == 0 {
		return nil
	}
	for _, s := range theirs {
		if at, waiting := c.safe[s.Name]; waiting && at == 0 {
			c.safe[s.Name] = s.CatalogXmin
		}
	}
	for n, at := range c.safe {
		have := own[n].CatalogXmin
		if at != 0 && have != 0 && !xidBefore(have, at) && !xidBefore(have, feedback) {
			ready = append(ready, n)
			delete(c.safe, n)
		}
	}
	slices.Sort(ready)
	return ready
}

// xidBefore compares transaction numbers, which go in a circle (transam.c, TransactionIdPrecedes).
func xidBefore(a, b uint32) bool { return int32(a-b) < 0 }

// tellUnsafe warns, when this node is promoted, of copies that may lack catalog rows: their consumer may get an error, and must be set up anew then.
func (a *agent) tellUnsafe() {
	for _, n := range a.carried.forget() {
		a.log.Warn(fmt.Sprintf("Logical replication slot %s might be unsafe to use after promotion", n))
	}
}

// advanceTimeout bounds the moving of slots: that of a logical one decodes the log in between.
const advanceTimeout = time.Minute
