package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// postgresql are the settings in force.
func (a *agent) postgresql() dynamic.PostgreSQL {
	if set := a.set.Load(); set != nil {
		return set.PostgreSQL
	}
	return dynamic.PostgreSQL{PgCtlTimeout: stopTimeout}
}

// prePromote asks the user's command whether this node may open for the term. It gets no arguments, as Patroni's.
func (a *agent) prePromote(act ha.PrePromote) func(*ha.PG) {
	p := a.postgresql()
	err := a.hooks.wait(a.ctx, p.PgCtlTimeout, instance.Hook{Name: "postgresql.pre_promote", Command: p.PrePromote})
	h := ha.Hook{Term: act.Term, OK: err == nil, At: boottime.Now()}
	if err != nil {
		h.Text = err.Error()
	}
	return func(p *ha.PG) { p.Hook = h }
}

// beforeStop lets the user's command do what is to be done before PostgreSQL goes, once for each stop. What it says changes nothing.
func (a *agent) beforeStop() {
	p := a.postgresql()
	if p.BeforeStop == "" || a.stopHook.Swap(true) {
		return
	}
	_ = a.hooks.wait(a.ctx, p.PgCtlTimeout, instance.Hook{Name: "postgresql.before_stop", Command: p.BeforeStop})
}

// postBootstrapLimit bounds post_bootstrap: what it loads may be much.
const postBootstrapLimit = 24 * time.Hour

// postInit runs bootstrap.post_bootstrap with a connection string as its argument.
func (a *agent) postInit(ctx context.Context) error {
	cmd := a.cfg.Bootstrap.PostInit
	if cmd == "" {
		return nil
	}
	return a.hooks.wait(ctx, postBootstrapLimit, instance.Hook{
		Name: "bootstrap.post_bootstrap", Command: cmd, Args: []string{a.inst.LocalConninfo()}, Password: true,
		Env: []string{"PGOPTIONS=-c synchronous_commit=local -c statement_timeout=0"},
	})
}

// found makes the new cluster's folder: by initdb, or by the user's method.
func (a *agent) found() error {
	b := a.cfg.Bootstrap
	if b.Command == "" {
		return a.initdb()
	}
	m := instance.Method{Name: b.Method, Command: b.Command, NoParams: b.NoParams}
	for _, o := range b.MethodOptions {
		m.Args = append(m.Args, "--"+o.Name+"="+o.Value)
	}
	err := a.inst.BootstrapBy(a.ctx, instance.BootstrapOptions{Method: m, Recovery: postgres.Params(b.RecoveryConf), KeepRecovery: b.KeepExistingRecoveryConf})
	a.hooks.remember("bootstrap."+b.Method, err) // the operation that fails by it says so
	return err
}

// openNew starts the new cluster, however long the recovery of a copy takes, and gives it its roles. The lease is renewed meanwhile.
func (a *agent) openNew() error {
	if err := a.inst.SetFounding(instance.FoundingOpened); err != nil {
		return err
	}
	if err := a.inst.StartPrimary(a.ctx, a.inst.SyncNames()); err != nil {
		return err
	}
	return a.furnish(a.ctx)
}

// furnish gives a new cluster its roles and has post_bootstrap do its part.
func (a *agent) furnish(ctx context.Context) error {
	if err := a.inst.PostBootstrap(ctx); err != nil {
		return err
	}
	if a.cfg.Bootstrap.PostInit != "" {
		if err := a.inst.SetFounding(instance.FoundingPostInit); err != nil {
			return err
		}
	}
	if err := a.postInit(ctx); err != nil {
		return err
	}
	return a.inst.SetFounding(instance.FoundingNone)
}

// resumeFounding finishes a cluster whose making was broken off by the agent's end after it was opened. It waits until the cluster takes writes on
// this host; a post_bootstrap that was begun is not repeated, since nobody knows whether it can be.
func (a *agent) resumeFounding() {
	for a.ctx.Err() == nil {
		s, news := a.seen.get()
		if s.Err == nil && s.PID != 0 && !s.StatusAt.IsZero() && !s.Status.InRecovery && a.opLock.TryLock() {
			done, err := a.finishFounding()
			a.opLock.Unlock()
			if done {
				return
			}
			a.log.Warn("the new cluster is not finished yet", "error", err)
		}
		select {
		case <-news:
		case <-a.ctx.Done():
		}
	}
}

func (a *agent) finishFounding() (done bool, err error) {
	stage, err := a.inst.Founding()
	if err != nil || stage == instance.FoundingNone {
		return err == nil, err
	}
	if stage != instance.FoundingPostInit {
		if err := a.furnish(a.ctx); err != nil {
			return false, err
		}
		a.log.Info("the new cluster, whose making was broken off, is finished")
		return true, nil
	}
	if err := a.inst.PostBootstrap(a.ctx); err != nil {
		return false, err
	}
	broken := errors.New("it was broken off by the end of the agent, and may have done half of its work: finish it by hand")
	a.hooks.remember("bootstrap.post_bootstrap", broken)
	a.log.Error("post_bootstrap is not repeated", "error", broken)
	return true, a.inst.SetFounding(instance.FoundingNone)
}

// cloneMethods are the ways to get a copy from somebody. The remote primary of a standby cluster has a list of its own, and without one
// pg_basebackup: what the cluster has for its members may rest on an archive that is not there yet (Patroni 4.1, Bootstrap.create_replica).
func (a *agent) cloneMethods(from ha.Upstream) []instance.Method {
	p := a.postgresql()
	names := p.CreateReplicaMethods
	if set := a.set.Load(); !from.Remote.IsZero() && set != nil && set.StandbyCluster != nil {
		names = set.StandbyCluster.CreateReplicaMethods
	}
	if len(names) == 0 {
		names = []string{instance.BaseBackup}
	}
	return replicaMethods(p, names)
}

// replicaMethods are the methods of these names. A method gets every key of its section as an argument, but for the command; without no_params
// that includes keep_data and no_leader (Patroni 4.1, Bootstrap.create_replica).
func replicaMethods(p dynamic.PostgreSQL, names []string) []instance.Method {
	var out []instance.Method
	for _, name := range names {
		m := instance.Method{Name: name}
		for _, key := range dynamic.SortedKeys(p.ReplicaMethods[name]) {
			v := p.ReplicaMethods[name][key]
			yes := dynamic.Yes(v)
			switch key {
			case "command":
				m.Command = dynamic.Text(v)
				continue
			case "no_params":
				m.NoParams = yes
			case "keep_data":
				m.KeepData = yes
			case "no_leader":
				m.NoLeader = yes
			}
			m.Args = append(m.Args, "--"+key+"="+argument(v))
		}
		if m.NoParams {
			m.Args = withoutOwn(m.Args)
		}
		out = append(out, m)
	}
	return out
}

// argument writes a value as Patroni does, whose booleans are Python's.
func argument(v any) string {
	switch v {
	case true:
		return "True"
	case false:
		return "False"
	}
	return dynamic.Text(v)
}

// withoutOwn leaves the arguments that are meant for the agent out.
func withoutOwn(args []string) []string {
	return slices.DeleteFunc(args, func(a string) bool {
		return strings.HasPrefix(a, "--no_params=") || strings.HasPrefix(a, "--keep_data=") || strings.HasPrefix(a, "--no_leader=")
	})
}
