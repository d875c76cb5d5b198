package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// The bounds of operations. A start that takes longer goes on by itself, and the samples show when it is there.
const (
	startTimeout   = 3 * time.Second
	promoteTimeout = 60 * time.Second
	stopTimeout    = 60 * time.Second
	shortTimeout   = 5 * time.Second
)

// operate begins a PostgreSQL operation.
func (a *agent) operate(act ha.Action, k *known) {
	name := act.String()
	k.opText, k.opSince = name, time.Now()
	_, k.pg.Copying = act.(ha.Clone)
	a.opKind.Store(&name)
	set := k.set
	go func() {
		a.opLock.Lock() // a pledge that a peer asks for may be under way
		a.stopped.forget(act)
		switch act.(type) {
		case ha.StartPrimary, ha.StartStandby, ha.Promote:
			a.stopHook.Store(false)
		}
		change, err := a.operation(act, set.PostgreSQL.PgCtlTimeout)
		a.opLock.Unlock()
		a.copied.replaced()
		a.progress.Store(nil)
		after := a.after()
		a.opKind.Store(nil)
		if err != nil {
			a.log.Error("operation failed", "operation", name, "error", err)
		}
		a.requests.done(act, err)
		a.loop.post(opEvent{kind: opKind(act), err: err, at: boottime.Now(), change: func(p *ha.PG) {
			after(p)
			if change != nil {
				change(p)
			}
		}})
	}()
}

// after is what is seen once an operation has ended.
func (a *agent) after() func(*ha.PG) {
	look := a.inspect(a.ctx)
	st, _ := a.guard.Status()
	if st.PM == 0 {
		return look
	}
	s := a.fresh(a.ctx)
	phase := a.phase(s)
	return func(p *ha.PG) {
		look(p)
		foldSample(p, s, phase)
	}
}

// opKind groups operations by what their failures mean to the decisions.
func opKind(act ha.Action) string {
	switch act := act.(type) {
	case ha.Rewind:
		return "rewind"
	case ha.Promote:
		return "promote"
	case ha.Initdb:
		return "initdb"
	case ha.Clone:
		return "clone"
	case ha.StartPrimary:
		if act.Bootstrap {
			return "bootstrap"
		}
		return "start"
	case ha.StartStandby, ha.Restart:
		return "start"
	}
	return "other"
}

// operation carries an operation out and says what is known by it.
func (a *agent) operation(act ha.Action, ctlTimeout time.Duration) (func(*ha.PG), error) {
	switch act := act.(type) {
	case ha.Initdb:
		return nil, a.found()
	case ha.Discard:
		return nil, a.inst.DiscardFailed(a.ctx)
	case ha.PrePromote:
		return a.prePromote(act), nil
	case ha.StartPrimary:
		return a.startPrimary(act)
	case ha.StartStandby:
		return a.startStandby(act.Upstream)
	case ha.Promote:
		return a.promote(act)
	case ha.ReadTail:
		return a.readTail(act.From)
	case ha.Checkpoint:
		ctx, cancel := context.WithTimeout(a.ctx, stopTimeout)
		defer cancel()
		err := a.inst.Checkpoint(ctx)
		a.drain(a.ctx) // and then what follows, while the primary still serves
		a.beforeStop()
		return nil, err
	case ha.Stop:
		return nil, a.stopPG(act)
	case ha.Follow:
		return a.followUp(act.Upstream)
	case ha.Pledge:
		_, change, err := a.pledge(a.ctx, act.Term)
		return change, err
	case ha.CheckWAL:
		return a.checkWAL(act.Leader), nil
	case ha.Rewind:
		return a.rewind(act)
	case ha.Clone:
		return a.clone(act)
	case ha.Restart:
		if act.Stopped {
			return a.startStandby(act.Upstream)
		}
		a.beforeStop()
		ctx, cancel := context.WithTimeout(a.ctx, max(ctlTimeout, stopTimeout)+startTimeout)
		defer cancel()
		defer a.stopHook.Store(false)
		return nil, a.inst.Restart(ctx, instance.StopOptions{Mode: instance.StopFast, Checkpoint: true, Timeout: max(ctlTimeout, stopTimeout)})
	case ha.CopySlots:
		return a.copySlots(act)
	case ha.SetNames:
		ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
		defer cancel()
		a.loop.post(pgEvent{func(p *ha.PG) { p.NamesSince = 0 }})
		err := a.inst.SetSynchronous(ctx, act.Names)
		return func(p *ha.PG) {
			if err == nil {
				namesInEffect(p, act.Names)
			}
		}, err
	}
	return nil, fmt.Errorf("unknown operation %T", act)
}

func (a *agent) initdb() error {
	b := a.cfg.Bootstrap
	opt := instance.InitdbOptions{HBA: b.PgHBA}
	for _, o := range b.InitDB {
		opt.Args = append(opt.Args, o.Arg())
	}
	return a.inst.Initdb(a.ctx, opt)
}

// readTail finds out where the last commit of a stopped primary ends.
func (a *agent) readTail(from postgres.LSN) (func(*ha.PG), error) {
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	t, err := a.inst.ReadTail(ctx, from)
	if err != nil {
		return nil, err
	}
	a.log.Info("read the log of the crashed primary", "from", from.String(), "last_commit", t.Durable.String(), "timeline", t.Timeline)
	return func(p *ha.PG) { p.Tail = ha.Tail{At: boottime.Now(), Timeline: t.Timeline, Durable: t.Durable} }, nil
}

// notReady turns "it is still starting" into success: the samples show the rest.
func notReady(err error) error {
	if errors.Is(err, instance.ErrNotReady) {
		return nil
	}
	return err
}

func (a *agent) startPrimary(act ha.StartPrimary) (func(*ha.PG), error) {
	following := func(p *ha.PG) { p.Following, p.Checked = ha.Upstream{}, ha.Check{} }
	if act.Bootstrap {
		return following, a.openNew()
	}
	ctx, cancel := context.WithTimeout(a.ctx, startTimeout)
	defer cancel()
	return following, notReady(a.inst.StartPrimary(ctx, a.inst.SyncNames()))
}

func (a *agent) startStandby(u ha.Upstream) (func(*ha.PG), error) {
	// The pledge outlives PostgreSQL's restart: a view that is old must not bring back an upstream whose term was given up.
	if t, err := a.pledged.load(); err != nil || t.Covers(u.Term) {
		u = ha.Upstream{}
	}
	up, err := a.replicationUpstream(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.ctx, startTimeout)
	defer cancel()
	err = notReady(a.inst.StartStandby(ctx, up))
	return func(p *ha.PG) {
		if err == nil {
			p.Following = u
		}
	}, err
}

func (a *agent) promote(act ha.Promote) (func(*ha.PG), error) {
	ctx, cancel := context.WithTimeout(a.ctx, promoteTimeout)
	defer cancel()
	done, err := a.inst.Promote(ctx, act.Names)
	if err != nil {
		return nil, err
	}
	a.tellUnsafe()
	a.log.Info("promoted", "timeline", done.History.Timeline, "fork", done.History.Begin().String(), "took", done.Took.Round(time.Millisecond).String())
	return func(p *ha.PG) {
		// What was opened is open, even if it does not answer any more.
		p.InRecovery, p.Timeline, p.Switches, p.Following, p.Checked = false, done.History.Timeline, done.History.Switches, ha.Upstream{}, ha.Check{}
		namesInEffect(p, act.Names)
	}, nil
}

// loginsPatience is how long a planned change waits for logins that are under way; they take milliseconds, or a client that does not go on with one.
const loginsPatience = 500 * time.Millisecond

func (a *agent) stopPG(act ha.Stop) error {
	mode := instance.StopFast
	if act.Mode == "immediate" {
		mode = instance.StopImmediate
	} else {
		a.beforeStop()
	}
	ctx, cancel := context.WithTimeout(a.ctx, stopTimeout+shortTimeout)
	defer cancel()
	o := instance.StopOptions{Mode: mode, Timeout: stopTimeout}
	if act.Logins {
		o.Logins = loginsPatience
	}
	if err := a.inst.Stop(ctx, o); err != nil || !act.Archive {
		return err
	}
	ctx, cancel = context.WithTimeout(a.ctx, a.postgresql().PgCtlTimeout)
	defer cancel()
	if err := a.inst.ArchiveEnd(ctx); err != nil {
		a.log.Error("the cluster that follows by the archive may have to be copied anew", "error", err) // it is no reason to stay a primary
	}
	return nil
}

func (a *agent) followUp(u ha.Upstream) (func(*ha.PG), error) {
	if t, err := a.pledged.load(); err != nil || t.Covers(u.Term) {
		return nil, fmt.Errorf("%s leads for a term that this node has pledged not to follow", u.Name)
	}
	up, err := a.replicationUpstream(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	if err := a.inst.Follow(ctx, up); err != nil {
		return nil, err
	}
	return func(p *ha.PG) { p.Following = u }, nil
}

// pledge stores the promise, then stops the WAL receiver, then learns how far the log goes. While nothing has been followed
// since the last time, the log cannot have grown, and the position is known.
func (a *agent) pledge(ctx context.Context, t dcs.Term) (instance.Position, func(*ha.PG), error) {
	if err := a.pledged.raise(t); err != nil {
		return instance.Position{}, nil, fmt.Errorf("storing the pledge: %w", err)
	}
	pos, ok := a.stopped.position()
	if !ok {
		ctx, cancel := context.WithTimeout(ctx, shortTimeout)
		defer cancel()
		var err error
		if pos, err = a.inst.StopReceiver(ctx); err != nil {
			return pos, nil, err
		}
		a.stopped.remember(pos)
	}
	return pos, func(p *ha.PG) {
		if !p.Pledged.Covers(t) {
			p.Pledged = t
		}
		p.Following, p.Streaming = ha.Upstream{}, false
		p.Timeline, p.FlushLSN, p.ReplayLSN = pos.Timeline, pos.Flush, max(p.ReplayLSN, pos.Replay)
		p.Switches = pos.History.Switches
	}, nil
}

// askedToPledge pledges for a peer, unless an operation takes longer than the peer would wait.
func (a *agent) askedToPledge(ctx context.Context, t dcs.Term) (instance.Position, func(*ha.PG), error) {
	for !a.opLock.TryLock() {
		select {
		case <-ctx.Done():
			return instance.Position{}, nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	defer a.opLock.Unlock()
	return a.pledge(ctx, t)
}

// stoppedAt is the position of a standby whose WAL receiver was stopped, for as long as it follows nobody.
type stoppedAt struct {
	mu    sync.Mutex
	pos   instance.Position
	known bool
}

func (s *stoppedAt) position() (instance.Position, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos, s.known
}

func (s *stoppedAt) remember(p instance.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pos, s.known = p, true
}

// forget is called before every operation: only those that leave the log alone keep the position.
func (s *stoppedAt) forget(act ha.Action) {
	switch act.(type) {
	case ha.Pledge, ha.CheckWAL:
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

func (a *agent) checkWAL(u ha.Upstream) func(*ha.PG) {
	c := ha.Check{Term: u.Term}
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	host, port, err := a.addressOf(ctx, u)
	if err == nil {
		var w instance.WALCheck
		if w, err = a.inst.CheckWAL(ctx, host, port); err == nil {
			c.Done, c.Diverged, c.Fork, c.End = true, w.Diverged, w.Fork.LSN, w.End
			a.log.Info("compared the WAL with the leader", "leader", u.Name, "diverged", w.Diverged, "fork", forkText(w.Fork), "end", w.End.String())
		}
	}
	if err != nil {
		c.Error = err.Error()
		a.log.Info("cannot compare the WAL with the leader's yet", "leader", u.Name, "error", err)
	}
	c.At = boottime.Now()
	return func(p *ha.PG) { p.Checked = c }
}

func forkText(f postgres.ForkPoint) string {
	if f.LSN == postgres.MaxLSN {
		return "none"
	}
	return fmt.Sprintf("%d:%s", f.Timeline, f.LSN)
}

func (a *agent) rewind(act ha.Rewind) (func(*ha.PG), error) {
	host, port, err := a.addressOf(a.ctx, act.Leader)
	if err != nil {
		return nil, err
	}
	r, err := a.inst.Rewind(a.ctx, instance.RewindOptions{Host: host, Port: port, Name: a.cfg.Name})
	a.tellLoss(r, err)
	if err != nil {
		return nil, err
	}
	return func(p *ha.PG) { p.Checked = ha.Check{} }, nil
}

// copiedAnew is known at the end of a copy, whether it succeeded or not. That one has failed stays known: each try waits longer than the last.
func copiedAnew(p *ha.PG) { p.Checked = ha.Check{} }

func (a *agent) clone(act ha.Clone) (func(*ha.PG), error) {
	methods := a.cloneMethods(act.From)
	host, port, err := a.addressOf(a.ctx, act.From)
	switch {
	case err != nil && !act.From.Remote.IsZero() && slices.ContainsFunc(methods, func(m instance.Method) bool { return m.NoLeader }):
		// A remote primary that is away is no obstacle to a copy that comes from an archive.
		a.log.Warn("the remote primary does not answer: only methods that need no server are tried", "error", err)
		host, port = "", 0
	case err != nil:
		return nil, err
	}
	opt := instance.CloneOptions{Host: host, Port: port, Name: a.cfg.Name, SystemID: a.systemID(), Methods: methods}
	if !act.Aside {
		return copiedAnew, a.inst.Clone(a.ctx, opt)
	}
	first := instance.RecloneOptions{Clone: opt}
	if opt.Methods[0].KeepData && a.requests.mayDiscard() {
		first.Keep = instance.KeepNothing // the method makes use of what is there
	}
	r, err := a.inst.Reclone(a.ctx, first)
	if errors.Is(err, instance.ErrKept) && a.requests.mayDiscard() {
		r, err = a.inst.Reclone(a.ctx, instance.RecloneOptions{Clone: opt, Keep: instance.KeepNothing})
	}
	a.tellLoss(r, err)
	return copiedAnew, err
}

// systemID is the cluster's, as the newest view has it.
func (a *agent) systemID() string {
	if v := a.pub.view.Load(); v != nil && v.cluster != nil {
		return v.cluster.Initialize
	}
	return ""
}

// tellLoss reports what a rewind or a new copy, which ended with err, gave up: to the log, and to the cluster's keys for everybody to see. One
// that failed before it had anything kept aside has given nothing up.
func (a *agent) tellLoss(r instance.LossReport, err error) {
	if !r.Lost() || err != nil && r.Kept == "" {
		return
	}
	a.log.Warn("committed transactions of this node are not in the cluster's history", "report", r.String())
	loss := dcs.Loss{
		Node: a.cfg.Name, Timeline: uint32(r.Timeline), ForkLSN: uint64(r.Fork.LSN), EndLSN: uint64(r.End), Bytes: uint64(r.Bytes),
		Transactions: r.Transactions, KeptAt: r.Kept, Time: r.At.Format(time.RFC3339),
	}
	go a.writeLoss(loss)
}

// keptLosses bounds the list in the store.
const keptLosses = 100

// withLoss adds a loss to those that were told, in the place of what an earlier try to give up the same log told of it; that one's count stays if it is
// higher, for a rewind that was broken off leaves less to count.
func withLoss(told []dcs.Loss, l dcs.Loss) []dcs.Loss {
	all := slices.DeleteFunc(slices.Clone(told), func(o dcs.Loss) bool {
		same := o.Node == l.Node && o.Timeline == l.Timeline && o.ForkLSN == l.ForkLSN
		if same {
			l.Transactions = max(l.Transactions, o.Transactions)
		}
		return same
	})
	all = append(all, l)
	return all[max(0, len(all)-keptLosses):]
}

func (a *agent) writeLoss(l dcs.Loss) {
	for range 20 {
		ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
		c, err := a.watch.load(ctx)
		if err == nil {
			all := withLoss(c.Losses, l)
			var r bool
			r, err = a.commitNow(ctx, dcs.Txn{
				If:   []dcs.Compare{dcs.Unchanged(a.keys.Losses(), c.LossRev)},
				Then: []dcs.Op{dcs.Put(a.keys.Losses(), dcs.Encode(all), 0)},
			})
			if err == nil && r {
				cancel()
				return
			}
		}
		cancel()
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	a.log.Error("the report of lost transactions could not be written to the store; it is in the state folder", "kept", l.KeptAt)
}

func (a *agent) commitNow(ctx context.Context, t dcs.Txn) (bool, error) {
	r, err := a.dcs.Commit(ctx, t)
	return r.Succeeded, err
}
