package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/internal/dcsclient"
	"quorate/internal/fence"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// agent is the postgres role: it owns one PostgreSQL and decides about it.
type agent struct {
	cfg   *config.Config
	log   *slog.Logger
	dcs   dcsclient.Client
	keys  dcs.Keys
	guard *fence.Guard
	inst  *instance.Instance
	mon   *instance.Monitor
	loop  *loop
	peers *peerClient
	pub   *publisher
	hooks *hooks
	// drain and revoke are this host's router's; see agentOptions.
	drain, revoke func(context.Context)
	// stopHook says that before_stop has been run for the stop that is under way.
	stopHook atomic.Bool
	life     life
	role     atomic.Value // string: PostgreSQL\'s when it was last seen to run
	watch    *watcher
	exits    chan exitOrder
	sent     []chan struct{} // the commits in flight; the loop's own
	exe      string
	state    string // the state folder
	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup

	requests  *requests
	fenceNo   refusals
	unchanged failedChanges
	unpledged failedChanges          // the pledges that a race did not get
	opKind    atomic.Pointer[string] // the PostgreSQL operation in flight
	progress  atomic.Pointer[instance.Progress]
	opLock    sync.Mutex // held while an operation changes PostgreSQL
	stopped   stoppedAt
	pledged   pledgeFile
	promise   promiseFile
	seen      *seen // what the last samples said, for operations that wait for one
	confs     chan dynamic.Config
	crashed   chan struct{}                  // PostgreSQL has ended and nobody had asked for it
	set       atomic.Pointer[dynamic.Config] // the settings in force, for operations
	local     atomic.Pointer[config.Config]  // this host's own file as it was last read; cfg is what the agent began with
	late      atomic.Bool                    // the store could not say at the start whether the name is taken
	copied    *configCache
	unread    *unreadKeys
	carried   copies
	served    servedEvent // the monitor's own: what the loop was told
	dog       watchdogKeeper
}

// exitOrder is the loop's word that the agent is to end.
type exitOrder struct {
	code int
	why  string
}

// supervisor shows the fence to the instance.
type supervisor struct {
	*fence.Guard
	started func() // called when a postmaster was started: the fence's deadline may be another one now
}

func (s supervisor) Start(ctx context.Context, sp instance.Spec) (int, error) {
	pid, err := s.Guard.Start(ctx, fence.Spec{
		Path: sp.Path, Args: sp.Args, Env: sp.Env, Dir: sp.Dir, LogFile: sp.LogFile, UID: sp.UID, GID: sp.GID, Standby: sp.Standby,
	})
	s.started()
	return pid, err
}

func (s supervisor) Wait(ctx context.Context) (instance.ExitStatus, error) {
	e, err := s.Guard.Wait(ctx)
	return instance.ExitStatus{PID: e.PID, Code: e.Code, Signal: e.Signal, Fenced: e.Fired}, err
}

var _ instance.Supervisor = supervisor{}

// agentOptions is what an agent needs of the rest of the node.
type agentOptions struct {
	cfg     *config.Config
	log     *slog.Logger
	dcs     dcsclient.Client
	metrics registerer
	exe     string
	peerKey []byte
	publish func(*view)                // the routing table's source
	drain   func(context.Context)      // lets sessions run out before a planned change
	revoke  func(context.Context)      // ends this router's sessions to the primary
	backlog func() (waiting, lost int) // of the log
}

// newAgent prepares the agent: the fence is connected or started, PostgreSQL is left as it is.
func newAgent(ctx context.Context, o agentOptions) (*agent, error) {
	c := o.cfg
	a := &agent{
		drain: o.drain, revoke: o.revoke,
		cfg: c, log: o.log.With("component", "agent"), dcs: o.dcs, keys: dcs.NewKeys(c.Namespace, c.Scope), exe: o.exe,
		exits: make(chan exitOrder, 1), state: c.PostgreSQL.DataDir + ".quorate", confs: make(chan dynamic.Config, 1), crashed: make(chan struct{}, 1), seen: newSeen(),
	}
	a.copied = newConfigCache(c.PostgreSQL.DataDir, a.log)
	a.unread = &unreadKeys{log: a.log}
	var err error
	if a.peers, err = newPeerClient(c, o.peerKey); err != nil {
		return nil, err
	}
	a.watch = newWatcher(o.dcs, a.keys, a.log, func(e viewEvent) {
		a.unlessNamesake(e.cluster)
		a.unread.tell(e.cluster)
		a.loop.post(e)
	})
	known, err := namesakeMember(ctx, c, a.watch, a.peers)
	if err != nil {
		return nil, err
	}
	a.late.Store(!known)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.requests = newRequests(func(e event) { a.loop.post(e) })
	if err := os.MkdirAll(a.state, 0o755); err != nil {
		return nil, fmt.Errorf("postgresql.data_dir: the folder beside it cannot be made: %w", err)
	}
	if a.guard, err = fence.NewGuard(ctx, fence.GuardOptions{
		StateDir: a.state, DataDir: c.PostgreSQL.DataDir, Command: []string{o.exe, "fence"}, Logger: o.log.With("component", "fence"),
		Watchdog: a.dog.first(c),
	}); err != nil {
		return nil, err
	}
	opt := instanceOptions(c)
	started := func() { a.loop.post(fenceEvent{a.fenceState()}) }
	opt.StateDir, opt.Supervisor, opt.Logger, opt.Metrics = a.state, supervisor{a.guard, started}, o.log, o.metrics
	opt.OnExit, opt.OnProgress = a.onExit, func(p instance.Progress) { a.progress.Store(&p) }
	if a.inst, err = instance.New(opt); err != nil {
		return nil, err
	}
	a.pledged.path = filepath.Join(a.state, "pledge.json")
	a.promise.path = filepath.Join(a.state, "promise.json")
	a.mon = a.inst.NewMonitor(instance.MonitorOptions{Interval: time.Second, OnSample: a.looked})
	a.hooks = newHooks(a.ctx, a.inst.RunHook, c.Scope, a.log)
	a.pub = newPublisher(a, o.publish)
	a.pub.backlog = o.backlog
	a.loop = &loop{
		known: a.newKnown(), events: make(chan event, 1024), run: a.begin, show: a.pub.show, log: a.log,
		history: &decisions{sink: a.pub.decision},
	}
	return a, nil
}

func (a *agent) newKnown() *known {
	c := a.cfg
	k := &known{keys: a.keys, lanes: map[ha.Lane]*lane{}}
	k.self = ha.Self{
		Name: c.Name, Version: PatroniVersion, CanBootstrap: true, BootstrapConfig: a.copied.load(), WatchdogRequired: c.Watchdog.Mode == "required",
	}
	if k.self.BootstrapConfig == nil {
		k.self.BootstrapConfig = bootstrapConfig(c)
	}
	showLocal(&k.self, c, nil)
	k.copied = a.copied.keep
	k.local = c
	a.local.Store(c)
	var told corrections
	k.settings = func(shared []byte) dynamic.Config {
		if shared == nil {
			shared = k.self.BootstrapConfig
		}
		var raw map[string]any
		_ = json.Unmarshal(shared, &raw) // the parser of the cluster's keys has made sure that it is JSON
		eff, wrong := k.local.Effective(raw, c.Profile())
		for _, w := range told.news(wrong) {
			a.log.Warn("configuration corrected", "setting", w.Setting, "found", w.Found, "used", w.Used, "why", w.Reason)
		}
		a.local.Store(k.local)
		a.configure(eff)
		a.set.Store(&eff)
		return eff
	}
	k.set = k.settings(nil)
	if t, err := a.pledged.load(); err == nil {
		k.pg.Pledged = t
	} else {
		a.log.Error("the pledge cannot be read: nothing is followed until a new leader is there", "error", err)
	}
	k.vow = a.promise.load(boottime.Now(), k.set.TTL, a.log)
	return k
}

func bootstrapConfig(c *config.Config) json.RawMessage {
	raw := c.Bootstrap.DCS
	if raw == nil {
		raw = map[string]any{}
	}
	b, err := json.Marshal(raw)
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}

// showLocal puts into the member key what this member's own file says; what it says of PostgreSQL's address counts from the postmaster's start on.
func showLocal(s *ha.Self, c *config.Config, served *servedBy) {
	s.APIURL, s.ConnURL, s.ProxyURL = apiURL(c), pgURL(c, served.address(c)), ""
	if c.PostgreSQL.ProxyAddress != "" {
		s.ProxyURL = pgURL(c, c.PostgreSQL.ProxyAddress)
	}
	s.Tags, s.NoFailover, s.FailoverPriority = c.Tags.All, c.Tags.NoFailover, c.Tags.FailoverPriority
	s.CloneFrom, s.ReplicateFrom, s.NoStream = c.Tags.CloneFrom, c.Tags.ReplicateFrom, c.Tags.NoStream
}

// start looks at the folder and begins to decide.
func (a *agent) start(ctx context.Context) error {
	a.tasks.Go(func() { a.mon.Run(a.ctx) })
	unfinished, err := a.inst.ResumeFounding(ctx)
	if err != nil {
		return err
	}
	f := a.inst.Inspect(ctx)
	if err := a.adopt(ctx, f.PID); err != nil {
		return err
	}
	if f.Err == nil || f.Empty {
		if _, err := a.inst.Configure(ctx, a.instanceConfig(a.loop.known.set)); err != nil {
			a.log.Error("the configuration of PostgreSQL was not applied", "error", err)
		}
	}
	if unfinished {
		a.tasks.Go(a.resumeFounding)
	}
	a.tasks.Go(a.followFence)
	a.tasks.Go(a.applyConfigs)
	a.tasks.Go(func() { a.copied.run(a.ctx, &a.opLock) })
	a.tasks.Go(a.probe)
	go a.probeDisk() // not waited for: it may hang with the disk
	a.tasks.Go(func() { a.watch.run(a.ctx) })
	a.refresh(ctx)
	a.tasks.Go(func() { a.loop.serve(a.ctx) })
	return nil
}

// adopt takes charge of a PostgreSQL that somebody else has started, once it has let the agent in: with a wrong password nothing could be done
// for it, and it is better left to whoever runs it.
func (a *agent) adopt(ctx context.Context, pid int) error {
	if st, _ := a.guard.Status(); pid == 0 || st.PM != 0 {
		return nil
	}
	if err := a.refused(a.fresh(ctx).Err); err != nil {
		return err
	}
	running := func() int { return a.inst.Inspect(ctx).PID }
	pid, err := takeCharge(pid, running, func(pid int) error { return a.guard.Adopt(ctx, pid) })
	switch {
	case err != nil:
		return fmt.Errorf("adopting the PostgreSQL that runs: %w", err)
	case pid == 0:
		a.log.Info("PostgreSQL has ended before it was adopted")
	default:
		a.log.Info("PostgreSQL runs already and is adopted as it is", "pid", pid)
	}
	return nil
}

// takeCharge adopts the postmaster pid, or the one that runs in its place by now. One that ends meanwhile is no error: an agent that comes back late finds
// PostgreSQL in the moment in which its fence ends it. It returns the process that was adopted, 0 for none.
func takeCharge(pid int, running func() int, adopt func(int) error) (int, error) {
	for pid != 0 {
		err := adopt(pid)
		if err == nil {
			break
		}
		now := running()
		if now == pid {
			return 0, err
		}
		pid = now
	}
	return pid, nil
}

// refused turns a login that PostgreSQL refuses into an error with the place and the remedy; nil for any other trouble. Class 28 is
// "invalid authorization specification" (PostgreSQL, appendix A).
func (a *agent) refused(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !strings.HasPrefix(pg.Code, "28") {
		return nil
	}
	const key = "postgresql.authentication.superuser"
	return fmt.Errorf("%s: %s: found %q, whom the PostgreSQL that runs on %s does not let in (%s): set the password that it knows, or its pg_hba.conf right",
		a.cfg.At(key), key, a.cfg.PostgreSQL.Superuser.Username, a.cfg.PostgreSQL.DataDir, pg.Message)
}

// stop ends the agent's own work; the fence and PostgreSQL go on unless the loop has stopped them.
func (a *agent) stop(quitFence bool) {
	a.cancel()
	a.tasks.Wait()
	if st, ok := a.guard.Status(); quitFence || ok && st.PM == 0 { // nothing to guard: the next start brings its own
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := a.guard.Quit(ctx); err != nil {
			a.log.Warn("the fence goes on", "error", err)
		}
	} else {
		_ = a.guard.Close()
	}
	a.hooks.settle()
	_ = a.inst.Close()
}

// followFence tells the loop what the fence says.
func (a *agent) followFence() {
	for {
		a.loop.post(fenceEvent{a.fenceState()})
		if st, ok := a.guard.Status(); ok && st.PM == 0 {
			a.refresh(a.ctx)
		}
		select {
		case <-a.guard.Changed():
		case <-a.ctx.Done():
			return
		}
	}
}

func (a *agent) fenceState() ha.Fence {
	st, ok := a.guard.Status()
	return ha.Fence{
		Connected: ok, Term: dcs.Term(st.Term), Deadline: st.Deadline, Fired: dcs.Term(st.Fired), Unfenced: st.Unfenced, PM: st.PM,
	}
}

// looked takes a sample of the monitor. A look that began under a former postmaster says nothing about the present one: a standby that
// has just been started would pass for the primary that ran before it.
func (a *agent) looked(s instance.Sample) {
	if st, ok := a.guard.Status(); ok && s.PID != st.PM {
		s.Status, s.StatusAt = postgres.Status{}, 0
		if s.Err == nil {
			s.Err = errFormer
		}
	}
	a.onSample(s)
}

var errFormer = errors.New("the answer is a former postmaster's")

// onExit counts the ends that nobody asked for.
func (a *agent) onExit(e instance.ExitStatus) {
	asked := a.opKind.Load() != nil || e.Fenced
	if !asked {
		a.log.Warn("PostgreSQL has ended", "how", e.String())
		select {
		case a.crashed <- struct{}{}:
		default:
		}
	}
	a.seen.put(instance.Sample{Err: errFormer})
	a.loop.post(pgEvent{func(p *ha.PG) {
		p.ExitText = e.String()
		if !asked {
			p.Crashes++
		}
	}})
}

// refresh looks at the folder and tells the loop.
func (a *agent) refresh(ctx context.Context) {
	a.loop.post(pgEvent{a.inspect(ctx)})
}

var _ rest.Backend = (*backend)(nil)
