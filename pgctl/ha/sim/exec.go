package sim

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/pgctl/ha"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// begin starts an action; its end comes as an event.
func (h *host) begin(a ha.Action) {
	h.lanes[a.Lane()] = &busyLane{}
	if !periodic(a) {
		h.w.log("%s:   %s", h.name, a)
	}
	h.w.check.begin(h, a)
	switch a := a.(type) {
	case ha.GrantLease:
		h.grant(a)
	case ha.RenewLease:
		h.renew(a.ID)
	case ha.AdoptLease:
		h.renew(a.ID)
	case ha.Commit:
		h.commit(a)
	case ha.ArmFence:
		h.soon(ha.LaneFence, 0, 3, func() { _ = h.arm(a.Term, a.Deadline) })
	case ha.Unfence:
		h.soon(ha.LaneFence, 0, 3, func() { h.fence.unfenced, h.fence.deadline = true, 0 })
	case ha.FenceNow:
		h.fence.fired, h.fence.deadline = h.fence.term, 0
		h.pg.die(false)
		h.fenceTold()
	case ha.AskPeers:
		h.ask(a)
	case ha.AskFailsafe:
		h.askFailsafe(a)
	case ha.Exit:
		h.w.violated("%s exits: %s", h.name, a.Why)
	default:
		h.operate(a)
	}
}

// soon ends an action after a while, if the agent still lives.
func (h *host) soon(l ha.Lane, lo, hi int, do func()) {
	inc := h.incarnation
	h.w.after(h.w.span(lo, hi), func() {
		if h.incarnation == inc && h.up {
			h.run(func() { delete(h.lanes, l); do() })
		}
	})
}

func (h *host) grant(a ha.GrantLease) {
	sent := h.clock()
	var id int64
	h.w.store.request(h, func() error { id = h.w.store.grant(a.TTL); return nil }, func(err error) {
		delete(h.lanes, ha.LaneLease)
		if err == nil {
			h.known.Lease = ha.Lease{ID: id, TTL: a.TTL, Sent: sent, Tried: sent, Deadline: sent.Add(a.TTL)}
		}
	})
}

func (h *host) renew(id int64) {
	sent := h.clock()
	ttl := h.w.settings().TTL
	h.w.store.request(h, func() error { return h.w.store.keepAlive(id) }, func(err error) {
		delete(h.lanes, ha.LaneLease)
		switch {
		case errors.Is(err, errNoLease):
			h.known.Lease = ha.Lease{}
		case err != nil:
			h.known.Lease.Tried = sent
		default:
			h.known.Lease = ha.Lease{ID: id, TTL: ttl, Sent: sent, Tried: sent, Deadline: sent.Add(ttl)}
		}
	})
}

func (h *host) commit(a ha.Commit) {
	var ok bool
	var rev int64
	decided := h.known.Store.Cluster.Revision
	h.w.store.request(h, func() (err error) {
		faults := h.w.check.commit(h, a, decided)
		if ok, err = h.w.store.commit(a.Txn); ok && faults != "" {
			h.w.violated("%s", faults)
		}
		rev = h.w.store.rev
		return err
	}, func(err error) {
		if a.What == ha.AcquireLead || strings.HasPrefix(a.What, ha.SyncChange) {
			h.known.Mem.SyncInDoubt = err != nil
		}
		switch {
		case errors.Is(err, errNoLease):
			h.known.Lease = ha.Lease{}
			delete(h.lanes, a.In)
		case err != nil:
			delete(h.lanes, a.In) // unknown: what is true shows in the next view
		default:
			h.lanes[a.In] = &busyLane{done: true, until: rev}
			if ok {
				h.known.Store.OwnRev = max(h.known.Store.OwnRev, rev)
			}
			if a.What == ha.AcquireLead && ok {
				h.known.Mem.Acquired = dcs.Term{Cluster: clusterID, Rev: rev}
				h.w.log("%s: took term %d", h.name, rev)
			}
		}
	})
}

// ask collects pledges: each member that is reached pledges before it answers.
func (h *host) ask(a ha.AskPeers) {
	race := ha.Race{Target: a.Target, AskedAt: h.clock(), Answers: map[string]candidate.Member{}}
	left := len(a.From)
	inc := h.incarnation
	finish := func() {
		if h.incarnation == inc {
			h.run(func() {
				delete(h.lanes, ha.LanePeers)
				race.Done = true
				h.known.Race = race
			})
		}
	}
	if left == 0 {
		h.w.after(0, finish)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(a.From)) { // in an order that the seed alone decides
		o := h.w.host(name)
		answer := func(x candidate.Member) {
			race.Answers[name] = x
			if left--; left == 0 {
				finish()
			}
		}
		if o == nil || !o.awake() || !o.agent || o.agentFrozen || !h.w.linked(h.name, name) {
			h.w.after(h.w.span(200, 700), func() { answer(candidate.Member{Name: name}) })
			continue
		}
		h.w.after(h.w.span(1, 60), func() {
			if a.Target.IsZero() {
				answer(o.position())
			} else {
				answer(o.pledge(a.Target))
			}
		})
	}
}

func (h *host) pledge(t dcs.Term) candidate.Member {
	p := &h.pg
	if !h.awake() || !h.agent || p.frozen || h.promised() {
		return candidate.Member{Name: h.name}
	}
	if !p.writable() && !p.pledged.Covers(t) {
		p.pledged = t
	}
	if p.recovery && p.upstream.Term.Rev <= p.pledged.Rev {
		p.upstream = ha.Upstream{}
	}
	return h.position()
}

func (h *host) position() candidate.Member {
	p := &h.pg
	if !h.awake() || !h.agent || p.frozen {
		return candidate.Member{Name: h.name}
	}
	return candidate.Member{
		Name: h.name, Reachable: true, SystemID: "sys", Running: p.running && !p.starting, Primary: p.writable(), Timeline: p.tl,
		FlushLSN: p.end(), ReplayLSN: p.end(), Pledged: p.pledged, Priority: 1, CanPledge: true, Switches: p.switches,
	}
}

// askFailsafe asks the members to let this primary go on without the store.
func (h *host) askFailsafe(a ha.AskFailsafe) {
	out := ha.Failsafe{Term: a.Term, Sent: h.clock(), TTL: a.TTL, All: true}
	left, inc := len(a.Members), h.incarnation
	answer := func(who string, ok bool) {
		if left--; !ok {
			out.All, out.Why = false, who
		}
		if left == 0 && h.incarnation == inc {
			h.run(func() {
				delete(h.lanes, ha.LaneSafe)
				h.known.Failsafe = out
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Members)) {
		o := h.w.host(name)
		h.w.after(h.w.span(1, 60), func() {
			if !h.w.linked(h.name, name) || !o.promises(h.name, a) {
				h.w.after(h.w.span(100, 700), func() { answer(name, false) })
				return
			}
			h.w.after(h.w.span(1, 60), func() { answer(name, h.w.linked(h.name, name)) })
		})
	}
}

func (h *host) promised() bool {
	s := h.snapshot()
	return s.Promised()
}

// promises stores that this host takes no lead for a while, unless it is about to.
func (h *host) promises(to string, a ha.AskFailsafe) bool {
	if !h.awake() || !h.agent || h.agentFrozen || h.known.Store.Cluster == nil {
		return false
	}
	if l := h.known.Store.Cluster.Leader; l != nil && l.Name == h.name || h.pg.writable() || h.lanes[ha.LaneCommit] != nil {
		return false
	}
	h.promise = ha.Promise{To: to, Term: a.Term, Conn: "postgres://" + to, Until: h.clock().Add(a.TTL)}
	h.run(func() {})
	return true
}

// operate carries a PostgreSQL operation out. The postmaster may die meanwhile.
func (h *host) operate(a ha.Action) {
	p := &h.pg
	lo, hi := 1, 30
	switch a.(type) {
	case ha.Initdb, ha.Clone, ha.Rewind:
		lo, hi = 200, 1500
	case ha.StartPrimary, ha.StartStandby, ha.Restart, ha.Stop:
		lo, hi = 30, 400
	case ha.Promote:
		lo, hi = 10, 150
	}
	life, inc := p.life, h.incarnation
	took := h.w.span(lo, hi)
	if starts(a) && !p.running {
		life++
		h.w.after(h.starting(a, took), func() {
			if h.incarnation == inc && h.up {
				h.run(func() { p.sample(h, &h.known.PG) })
			}
		})
	}
	h.w.after(took, func() {
		if h.incarnation != inc || !h.up {
			return
		}
		h.run(func() {
			delete(h.lanes, ha.LanePG)
			err := h.operation(a, life)
			f := &h.known.PG.Failed
			if err != nil {
				h.w.log("%s: failed: %s: %v", h.name, a, err)
				*f = ha.OpFailure{Action: kind(a), Text: err.Error(), Count: f.Count + 1, At: h.clock()}
			} else {
				*f = ha.OpFailure{}
			}
			if _, ok := a.(ha.Promote); ok && err == nil {
				h.known.PG.InRecovery = false // even if it does not answer any more
			}
			p.sample(h, &h.known.PG)
		})
	})
}

func kind(a ha.Action) string {
	switch a.(type) {
	case ha.Rewind:
		return "rewind"
	case ha.Promote:
		return "promote"
	case ha.Initdb:
		return "initdb"
	}
	return "start"
}

var (
	errGone   = errors.New("PostgreSQL has ended meanwhile")
	errNoLink = errors.New("the leader cannot be reached")
	errFence  = errors.New("no deadline lies ahead")
)

func (h *host) operation(a ha.Action, life int) error {
	p := &h.pg
	switch a := a.(type) {
	case ha.Initdb:
		p.data, p.tl, p.clean, p.wasPrimary = true, 1, true, true
	case ha.StartPrimary:
		return h.startedPrimary(a, life)
	case ha.StartStandby:
		return h.started(life)
	case ha.ReadTail:
		if p.running {
			return errors.New("runs again")
		}
		h.known.PG.Tail = ha.Tail{At: h.clock(), Timeline: p.tl, Durable: p.end()}
	case ha.Promote:
		if p.life != life || !p.running || !p.recovery {
			return errGone
		}
		if !h.mayWrite() {
			return errFence
		}
		p.asked, p.names = a.Names, a.Names
		p.open(a.Term)
		h.w.log("%s: promoted on timeline %d at %d", h.name, p.tl, len(p.log))
		h.w.check.promoted(h, a.Term)
	case ha.PrePromote:
		h.known.PG.Hook = ha.Hook{Term: a.Term, OK: h.w.chance(0.7), Text: "no luck", At: h.clock()}
	case ha.Stop:
		if p.running {
			if !p.recovery && a.Mode == "fast" {
				h.shutdownCheckpoint()
			}
			p.die(a.Mode == "fast")
		}
	case ha.Follow:
		if p.life != life || !p.running {
			return errGone
		}
		p.upstream = a.Upstream
	case ha.Pledge:
		if !p.running {
			return errGone
		}
		if !p.pledged.Covers(a.Term) {
			p.pledged = a.Term
		}
		p.upstream = ha.Upstream{}
	case ha.CheckWAL:
		return h.checkWAL(a.Leader)
	case ha.Rewind:
		return h.rewind(a.Leader)
	case ha.Clone:
		return h.clone(a.From)
	case ha.SetNames:
		if p.life != life || !p.writable() {
			return errGone
		}
		p.asked = a.Names
	}
	return nil
}

func (h *host) mayWrite() bool {
	return h.fence.fired != h.fence.term && (h.fence.unfenced || h.fence.deadline != 0 && h.clock() < h.fence.deadline)
}

func starts(a ha.Action) bool {
	switch a.(type) {
	case ha.StartStandby, ha.StartPrimary:
		return true
	}
	return false
}

// starting begins a start: the postmaster is there and takes nobody yet. It says when that shows.
func (h *host) starting(a ha.Action, took time.Duration) time.Duration {
	p := &h.pg
	switch a := a.(type) {
	case ha.StartStandby:
		p.recovery, p.upstream = true, a.Upstream
		h.fence.deadline, h.fence.unfenced = 0, false
		h.fence.gen++
	case ha.StartPrimary:
		if !h.mayWrite() {
			p.life++ // it fails at once
			return took
		}
		p.recovery, p.term, p.upstream, p.names = false, a.Term, ha.Upstream{}, p.asked
	}
	p.running, p.starting = true, true
	p.life++
	life := p.life
	h.w.after(took, func() { // whatever becomes of the agent meanwhile
		if p.life == life {
			p.starting = false
		}
	})
	return took / 4
}

func (h *host) started(life int) error {
	p := &h.pg
	if p.life != life || !p.running {
		return errGone
	}
	return nil
}

func (h *host) startedPrimary(a ha.StartPrimary, life int) error {
	if h.pg.life == life && !h.pg.running {
		return errFence
	}
	if err := h.started(life); err != nil {
		return err
	}
	if a.Bootstrap {
		h.w.check.promoted(h, a.Term)
	}
	return nil
}

// shutdownCheckpoint is the last record of a primary that stops in order; the standbys that are attached get it.
func (h *host) shutdownCheckpoint() {
	p := &h.pg
	p.log = append(p.log, record{p.tl, h.w.check.newID()})
	for _, s := range h.w.hosts {
		if s.pg.streaming && s.pg.upstream.Name == h.name && s.awake() && prefix(s.pg.log, p.log) {
			s.pg.log = append(s.pg.log, p.log[len(s.pg.log):]...)
			s.pg.tl, s.pg.switches = p.tl, append([]postgres.Switch(nil), p.switches...)
		}
	}
}

func (h *host) leader(up ha.Upstream) (*host, error) {
	o := h.w.host(up.Name)
	if o == nil || !o.awake() || !o.pg.writable() || o.pg.frozen || !h.w.linked(h.name, o.name) {
		return nil, errNoLink
	}
	return o, nil
}

func (h *host) checkWAL(up ha.Upstream) error {
	c := &h.known.PG.Checked
	*c = ha.Check{Term: up.Term, At: h.clock()}
	o, err := h.leader(up)
	if err != nil {
		c.Error = err.Error()
		return nil //nolint:nilerr // it is told in the check
	}
	c.Done = true
	if !prefix(h.pg.log, o.pg.log) {
		c.Diverged, c.End = true, h.pg.end()
		c.Fork = postgres.LSN(common(h.pg.log, o.pg.log))
	}
	return nil
}

func common(a, b []record) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (h *host) rewind(up ha.Upstream) error {
	p := &h.pg
	if p.running {
		return errors.New("is running")
	}
	o, err := h.leader(up)
	if err != nil {
		return err
	}
	if h.w.chance(0.1) {
		return errors.New("WAL is missing")
	}
	n := common(p.log, o.pg.log)
	p.log = append(p.log[:n:n], o.pg.log[n:]...)
	p.tl, p.switches = o.pg.tl, append([]postgres.Switch(nil), o.pg.switches...)
	p.clean, p.wasPrimary = true, false
	h.known.PG.Checked = ha.Check{}
	return nil
}

func (h *host) clone(from ha.Upstream) error {
	p := &h.pg
	o, err := h.leader(from)
	if err != nil {
		return err
	}
	p.data, p.clean, p.wasPrimary = true, true, false
	p.log = append([]record(nil), o.pg.log...)
	p.tl, p.switches = o.pg.tl, append([]postgres.Switch(nil), o.pg.switches...)
	h.known.PG.Checked = ha.Check{}
	return nil
}

// recoveryTime is how long a host stays away after it was switched off.
func (w *World) recoveryTime() time.Duration { return w.span(500, 12000) }
