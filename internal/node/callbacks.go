package node

import (
	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
)

// life is what the callbacks have told of PostgreSQL. It looks at what is, after each decision: an event that was missed between two looks is
// one that nobody could have acted on.
type life struct {
	up         bool
	role       string // when it was last up; "": never
	crashes    int
	restarting bool
	crashed    bool             // it was up, and has ended without an order
	before     boottime.Instant // the last sample of a server that has ended
}

// next says which callback follows from what is seen now; "": none.
func (l *life) next(s *ha.Snapshot, op string) (event, role string) {
	if c := s.Store.Cluster; c == nil || c.Initialize == "" {
		return "", "" // while a cluster is being made, there is nothing to tell yet
	}
	switch {
	case op == restartText:
		l.restarting = true
	case s.PG.Phase != ha.Running:
		l.before = s.PG.SampleAt
		if s.PG.Phase == ha.Stopped {
			if event, role := l.stopped(s); event != "" {
				return event, role
			}
			return l.demoted(s)
		}
	case s.PG.SampleAt.After(l.before): // what a former server said does not count
		return l.running(s, roleOf(s))
	}
	return "", ""
}

var restartText = ha.Restart{}.String()

func (l *life) running(s *ha.Snapshot, role string) (string, string) {
	was := *l
	if was.up && s.PG.Crashes > was.crashes { // its end is known before it is seen to be down
		l.up, l.crashed, l.crashes, l.before = false, true, s.PG.Crashes, s.PG.SampleAt
		return "", ""
	}
	l.up, l.role, l.restarting, l.crashed, l.crashes = true, role, false, false, s.PG.Crashes
	switch {
	case was.restarting && was.role == role:
		return "on_restart", role
	case was.role != role && (was.role != "" || role == "standby_leader"): // with Patroni that is what a replica becomes
		return "on_role_change", role
	case !was.up:
		return "on_start", role
	}
	return "", ""
}

// stopped is an end that was ordered, by the agent or by the fence. After a crash it is started again, or somebody else is promoted.
func (l *life) stopped(s *ha.Snapshot) (string, string) {
	was := *l
	l.up, l.restarting, l.crashes = false, false, s.PG.Crashes
	l.crashed = was.crashed || was.up && s.PG.Crashes > was.crashes
	if !was.up || l.crashed {
		return "", ""
	}
	return "on_stop", was.role
}

// demoted is the end of a leader whose PostgreSQL has crashed and is not to serve again: it has given its key up (Patroni, post_recover). What
// was bound to the primary, an address for one, must not wait until this host is a standby: it may never be one.
func (l *life) demoted(s *ha.Snapshot) (string, string) {
	if !l.crashed || l.role != "primary" && l.role != "standby_leader" || s.Store.Cluster.LeaderName() == s.Self.Name {
		return "", ""
	}
	l.crashed, l.role = false, "demoted"
	return "on_role_change", l.role
}

// roleOf is the role that callbacks are told.
func roleOf(s *ha.Snapshot) string {
	if r := ha.RoleText(s); r != "promoted" {
		return r
	}
	return "primary"
}

// settingsRole is the role whose settings hold: a folder at rest is a standby's.
func (a *agent) settingsRole() dynamic.Role {
	if r, ok := a.role.Load().(string); ok && (r == "primary" || r == "standby_leader") {
		return dynamic.Role(r)
	}
	return dynamic.RoleReplica
}

// configure gives PostgreSQL a configuration; the newest wins.
func (a *agent) configure(set dynamic.Config) {
	select {
	case <-a.confs:
	default:
	}
	a.confs <- set
}

// observe calls what follows from a decision, and puts the settings of another role in force. It is called by the loop, like whatever else
// gives PostgreSQL a configuration.
func (a *agent) observe(s *ha.Snapshot) {
	if s.PG.Phase == ha.Running {
		before := a.settingsRole()
		a.role.Store(roleOf(s))
		if a.settingsRole() != before && len(s.Set.PostgreSQL.ByRole) > 0 {
			a.configure(s.Set)
		}
	}
	event, role := a.life.next(s, a.loop.known.opText)
	if event != "" {
		a.hooks.call(s.Set.PostgreSQL, event, role)
	}
}

// reloaded calls on_reload, when PostgreSQL was told to read its configuration again.
func (a *agent) reloaded(set dynamic.Config) {
	if v := a.pub.view.Load(); v != nil && v.snap.PG.Phase == ha.Running {
		a.hooks.call(set.PostgreSQL, "on_reload", roleOf(&v.snap))
	}
}
