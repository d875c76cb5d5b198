package sim

import (
	"fmt"

	"quorate/raftstore/dcs"
)

// fault lets something go wrong, and comes again.
func (w *World) fault() {
	if w.quiet {
		return
	}
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	if w.chance(0.5) { // where it hurts most
		for _, x := range w.hosts {
			if x.pg.writable() {
				h = x
			}
		}
	}
	kinds := 15
	if w.opt.Pauses {
		kinds = 18
	}
	w.breaks(h, w.rng.IntN(kinds))
	w.after(w.span(200, 9000), w.fault)
}

func (w *World) breaks(h *host, what int) {
	switch what {
	case 0:
		w.crashPG(h)
	case 1:
		h.killAgent()
		w.after(w.span(50, 8000), h.startAgent)
	case 2:
		w.freezeAgent(h)
	case 3:
		w.freezePG(h)
	case 4:
		w.pause(h)
	case 5, 6:
		w.lose(h)
	case 7:
		w.cutOff(h, storeName)
	case 8:
		w.isolate(h)
	case 9:
		o := w.hosts[w.rng.IntN(len(w.hosts))]
		w.cutOff(h, o.name)
	case 10:
		w.storeAway()
	case 11:
		w.switchover(h)
	case 12:
		w.deleteKey(h)
	case 13:
		for _, x := range w.hosts {
			w.lose(x)
		}
	case 14:
		w.fillDisk(h)
	default:
		w.maintenance()
	}
}

// fillDisk leaves a host without room, and some others with little. Writes go on as far as they do: the decisions must be right either way.
func (w *World) fillDisk(h *host) {
	w.log("%s: disk full", h.name)
	for _, x := range w.hosts {
		if x == h {
			x.disk = dcs.DiskFull
		} else if w.chance(0.2) {
			x.disk = dcs.DiskLow
		}
		w.after(w.span(500, 9000), func() { x.disk = "" })
	}
}

func (w *World) crashPG(h *host) {
	if !h.pg.running || !h.up {
		return
	}
	w.log("%s: PostgreSQL crashes", h.name)
	h.pg.die(false)
	h.pg.crashes++
	h.fenceTold()
}

func (w *World) freezeAgent(h *host) {
	if !h.agent {
		return
	}
	w.log("%s: agent frozen", h.name)
	h.agentFrozen = true
	inc := h.incarnation
	w.after(w.span(100, 10000), func() {
		if h.incarnation == inc {
			w.log("%s: agent thaws", h.name)
			h.agentFrozen = false
			h.thaw()
		}
	})
}

func (w *World) freezePG(h *host) {
	w.log("%s: PostgreSQL frozen", h.name)
	h.pg.frozen = true
	life := h.pg.life
	w.after(w.span(500, 15000), func() {
		if h.pg.life == life {
			h.pg.frozen = false
		}
	})
}

// pause stops the whole host; its clock goes on.
func (w *World) pause(h *host) {
	if !h.up || h.frozen {
		return
	}
	w.log("%s: host paused", h.name)
	h.frozen = true
	w.after(w.span(100, 12000), func() {
		if h.frozen {
			w.log("%s: host goes on", h.name)
			h.frozen = false
			h.thaw()
		}
	})
}

func (w *World) lose(h *host) {
	if !h.up {
		return
	}
	h.powerOff()
	w.after(w.recoveryTime(), func() { w.powerOn(h) })
}

func (w *World) powerOn(h *host) {
	if h.up {
		return
	}
	w.log("%s: power on", h.name)
	h.up = true
	if h.promise.To != "" { // the clock by which it was made is another one after a boot
		h.promise.Until = h.clock().Add(w.settings().TTL)
	}
	h.startAgent()
}

func (w *World) cutOff(h *host, other string) {
	if h.name == other {
		return
	}
	w.log("%s: cut off from %s", h.name, other)
	k := [2]string{h.name, other}
	w.cuts[k] = true
	w.after(w.span(300, 10000), func() {
		if w.cuts[k] {
			delete(w.cuts, k)
			w.log("%s: reaches %s again", h.name, other)
		}
	})
}

func (w *World) isolate(h *host) {
	w.cutOff(h, storeName)
	for _, o := range w.hosts {
		w.cutOff(h, o.name)
	}
}

func (w *World) storeAway() {
	w.log("the store is away")
	w.store.down = true
	w.after(w.span(200, 6000), func() {
		if w.store.down {
			w.store.down = false
			w.log("the store is back")
			w.store.notify()
		}
	})
}

// deleteKey is a person with etcdctl.
func (w *World) deleteKey(h *host) {
	if w.store.down {
		return
	}
	w.log("operator: deletes the leader key")
	_, _ = w.store.commit(dcs.Txn{Then: []dcs.Op{dcs.Delete(h.keys.Leader())}})
}

// switchover is an operator's request, as the API writes it: of a host that does not lead, while nobody does, a failover to it. With synchronous replication an operator's
// failover gives commits up by his word, so that there nothing could be judged.
func (w *World) switchover(h *host) {
	if w.store.down {
		return
	}
	if _, led := w.store.keys[h.keys.Leader()]; !led && w.opt.Pauses && w.opt.Sync == "off" && !h.pg.writable() {
		w.check.asked = true
		w.log("operator: failover to %s", h.name)
		_, _ = w.store.commit(dcs.Txn{Then: []dcs.Op{dcs.Put(h.keys.Failover(), dcs.Encode(dcs.Failover{Candidate: h.name}), 0)}})
		return
	}
	if !h.pg.writable() {
		return
	}
	f := dcs.Failover{Leader: h.name}
	if w.chance(0.5) {
		f.Candidate = w.hosts[w.rng.IntN(len(w.hosts))].name
	}
	w.check.asked = true
	w.log("operator: switchover from %s to %q", f.Leader, f.Candidate)
	_, _ = w.store.commit(dcs.Txn{Then: []dcs.Op{dcs.Put(h.keys.Failover(), dcs.Encode(f), 0)}})
}

// maintenance is an operator's pause of the cluster, and some time later its end. Faults go on in between.
func (w *World) maintenance() {
	w.setPause(true)
	w.after(w.span(500, 12000), func() { w.setPause(false) })
}

func (w *World) setPause(on bool) {
	keys := w.hosts[0].keys
	if _, there := w.store.keys[keys.Config()]; !there || w.store.down && !w.quiet {
		return
	}
	w.log("operator: pause %v", on)
	f, there := w.store.keys[keys.Failover()]
	w.check.asked = there && string(f.Value) != "{}"
	_, _ = w.store.commit(dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Config(), fmt.Sprintf(`{"ttl":3,"pause":%v}`, on), 0)}})
	if on {
		w.check.paused = w.store.rev
	}
}

// heal repairs everything.
func (w *World) heal() {
	w.log("---- everything is repaired")
	w.quiet = true
	w.store.down = false
	if w.opt.Pauses {
		w.setPause(false)
	}
	w.cuts = map[[2]string]bool{}
	for _, h := range w.hosts {
		h.pg.frozen, h.frozen, h.agentFrozen, h.up = false, false, false, true
		h.thaw()
		h.startAgent()
	}
	w.store.notify()
}
