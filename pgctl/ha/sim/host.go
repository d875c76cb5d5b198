package sim

import (
	"encoding/json"
	"errors"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/raftstore/dcs"
)

// host is one machine: an agent, a fence, a PostgreSQL. Its clock runs a little fast or slow.
type host struct {
	w    *World
	name string
	keys dcs.Keys
	rate float64

	up          bool
	frozen      bool   // the whole host is paused
	disk        string // the room left: dcs.DiskFull, dcs.DiskLow or ""
	agent       bool
	agentFrozen bool
	incarnation int // of the agent
	backlog     []func()

	pg      pg
	fence   fence
	promise ha.Promise // on disk
	paused  bool       // on disk: the cluster's settings as they were last seen
	known   ha.Snapshot
	lanes   map[ha.Lane]*busyLane
	last    ha.Reason
	timer   int
}

type fence struct {
	term     dcs.Term
	deadline boottime.Instant
	fired    dcs.Term
	unfenced bool
	gen      int
}

type busyLane struct {
	done  bool
	until int64
}

func newHost(w *World, name string) *host {
	return &host{w: w, name: name, keys: dcs.NewKeys("", "sim"), rate: 1 + (w.rng.Float64()-0.5)*0.002, up: true}
}

// clock is the host's own CLOCK_BOOTTIME.
func (h *host) clock() boottime.Instant {
	return boottime.Instant(float64(h.w.now)*h.rate) + boottime.Instant(1000*time.Second)
}

// awake says whether the host's processes run.
func (h *host) awake() bool { return h.up && !h.frozen }

// run carries an event to the agent: a frozen one gets it when it thaws.
func (h *host) run(do func()) {
	if !h.awake() || h.agentFrozen {
		h.backlog = append(h.backlog, do)
		return
	}
	do()
	h.decide()
}

func (h *host) thaw() {
	todo := h.backlog
	h.backlog = nil
	if h.up && h.fence.deadline != 0 && h.clock() >= h.fence.deadline {
		h.lateWrites()
		h.fire()
	}
	if !h.agent {
		return
	}
	for _, do := range todo {
		do()
	}
	h.decide()
}

// lateWrites is what a host that was paused past its deadline can still do in the milliseconds before the fence's timer fires.
// In synchronous mode it must be harmless: the standbys that have pledged confirm nothing.
func (h *host) lateWrites() {
	if h.w.opt.Sync == "off" {
		return
	}
	h.pg.client(h)
	for _, s := range h.w.hosts {
		s.pg.replicate(s)
	}
	h.w.check.late = true
	h.pg.acknowledge(h)
	h.w.check.late = false
}

// startAgent starts the agent on a host, knowing nothing but what the fence and the folder tell.
func (h *host) startAgent() {
	if !h.up || h.agent {
		return
	}
	h.w.log("%s: agent starts", h.name)
	h.agent, h.agentFrozen = true, false
	h.incarnation++
	h.backlog = nil
	h.lanes = map[ha.Lane]*busyLane{}
	h.known = ha.Snapshot{
		Self: ha.Self{
			Name: h.name, ConnURL: "postgres://" + h.name, APIURL: "http://" + h.name, Version: "4.1.4", FailoverPriority: 1,
			CanBootstrap: true, BootstrapConfig: []byte(`{"ttl":3}`),
		},
		Keys: h.keys,
		Set:  h.w.settings(),
	}
	h.known.Set.Pause = h.paused
	for _, o := range h.w.hosts {
		h.known.Store.Expected = append(h.known.Store.Expected, o.name)
	}
	h.read()
	h.look()
	h.decide()
}

func (w *World) settings() dynamic.Config {
	return dynamic.Config{
		TTL: 3 * time.Second, LoopWait: time.Second, RetryTimeout: time.Second, MaximumLagOnFailover: 40, MaximumLagOnSyncnode: -1,
		PrimaryStartTimeout: 300 * time.Second, SynchronousMode: dynamic.SyncMode(w.opt.Sync), SynchronousNodeCount: 1,
		SynchronousModeStrict: w.opt.Strict, FailsafeMode: w.opt.Safe, PostgreSQL: dynamic.PostgreSQL{UsePgRewind: true},
	}
}

func (h *host) killAgent() {
	if h.agent {
		h.w.log("%s: agent killed", h.name)
	}
	h.agent, h.agentFrozen = false, false
	h.incarnation++
	h.backlog = nil
}

// powerOff ends everything on the host; its disk stays.
func (h *host) powerOff() {
	h.w.log("%s: power off", h.name)
	h.killAgent()
	h.pg.die(false)
	h.up, h.frozen = false, false
	h.fence = fence{gen: h.fence.gen + 1}
}

// read lists the cluster's keys now and again, as the watcher does.
func (h *host) read() {
	inc := h.incarnation
	sent := h.clock()
	var c *dcs.Cluster
	h.w.store.request(h, func() error { c = h.w.store.view(h.keys); return nil }, func(err error) {
		if err != nil {
			h.known.Store.Down = true
		} else {
			h.see(c, sent)
		}
		h.w.after(time.Second, func() {
			if h.incarnation == inc {
				h.run(h.read)
			}
		})
	})
}

func (h *host) see(c *dcs.Cluster, sent boottime.Instant) {
	st := &h.known.Store
	st.Down = false
	if st.Cluster != nil && st.Cluster.Revision > c.Revision {
		return
	}
	st.Cluster, st.SeenAt = c, max(st.SeenAt, sent)
	if h.w.opt.Pauses {
		var set struct{ Pause bool }
		_ = json.Unmarshal(c.Config, &set)
		h.paused, h.known.Set.Pause = set.Pause, set.Pause
	}
}

// look samples PostgreSQL now and again, as the monitor does.
func (h *host) look() {
	inc := h.incarnation
	h.pg.sample(h, &h.known.PG)
	h.w.after(h.w.span(100, 300), func() {
		if h.incarnation == inc {
			h.run(h.look)
		}
	})
}

func (h *host) snapshot() ha.Snapshot {
	s := h.known
	s.Now, s.Wall = h.clock(), h.w.wall.Add(h.w.now)
	s.Fence = ha.Fence{Connected: true, Term: h.fence.term, Deadline: h.fence.deadline, Fired: h.fence.fired, Unfenced: h.fence.unfenced}
	s.Promise = h.promise
	s.Busy = map[ha.Lane]bool{}
	for n, l := range h.lanes {
		if l.done && s.Store.Cluster != nil && s.Store.Cluster.Revision >= l.until {
			delete(h.lanes, n)
			continue
		}
		s.Busy[n] = true
	}
	return s
}

// decide makes a decision and begins what it says.
func (h *host) decide() {
	if !h.agent || h.agentFrozen || !h.awake() {
		return
	}
	d := h.w.opt.Decide(h.snapshot())
	h.known.Mem = d.Mem
	if d.Reason != h.last {
		h.w.log("%s: %s", h.name, d.Reason.Text)
		h.last = d.Reason
	}
	for _, a := range d.Actions {
		h.begin(a)
	}
	h.timer++
	gen, inc := h.timer, h.incarnation
	h.w.after(max(time.Millisecond, d.Wake.Sub(h.clock())), func() {
		if h.timer == gen && h.incarnation == inc {
			h.run(func() {})
		}
	})
}

// fire is the fence's end of a term.
func (h *host) fire() {
	h.w.log("%s: fence fires for term %s", h.name, h.fence.term)
	h.fence.fired, h.fence.deadline = h.fence.term, 0
	h.pg.die(false)
	h.fenceTold()
}

func (h *host) fenceTold() {
	inc := h.incarnation
	h.w.after(h.w.span(0, 3), func() {
		if h.incarnation == inc && h.agent {
			h.run(func() { delete(h.lanes, ha.LaneKill); h.pg.sample(h, &h.known.PG) })
		}
	})
}

var errStale = errors.New("stale term or deadline")

func (h *host) arm(t dcs.Term, d boottime.Instant) error {
	f := &h.fence
	if t == f.fired || f.term.Rev > t.Rev || h.clock() >= d {
		return errStale
	}
	if t == f.term && d < f.deadline {
		return nil
	}
	f.term, f.deadline, f.unfenced = t, d, false
	f.gen++
	gen := f.gen
	h.w.after(time.Duration(float64(d.Sub(h.clock()))/h.rate)+time.Microsecond, func() {
		if f.gen == gen && h.awake() && f.deadline != 0 && h.clock() >= f.deadline {
			h.fire()
		}
	})
	return nil
}
