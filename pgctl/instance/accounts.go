package instance

import (
	"reflect"
	"slices"
	"strings"

	"quorate/pgctl/postgres"
)

// Accounts are the roles that the agent and the servers use among themselves.
type Accounts struct{ Superuser, Replication, Rewind Account }

// withDefaults are the accounts as they are used: who is not named is the superuser.
func (a Accounts) withDefaults() Accounts {
	setIfEmpty(&a.Superuser.User, "postgres")
	if a.Rewind.User == "" {
		a.Rewind = a.Superuser
	}
	return a
}

func (a Accounts) all() []Account { return []Account{a.Superuser, a.Replication, a.Rewind} }

// rotation are the accounts in use and those that were in use before them. Passwords cannot change in the cluster and in all hosts' files
// at one moment: until the roles have the new ones, the agent's own connections get in by the former.
type rotation struct{ now, before Accounts }

// accounts are those in use.
func (i *Instance) accounts() Accounts { return i.acc.Load().now }

// former is what an account was before the last change of its password, false when that is not known.
func (i *Instance) former(a Account) (Account, bool) {
	r := i.acc.Load()
	now, before := r.now.all(), r.before.all()
	for n := range now {
		if reflect.DeepEqual(now[n], a) && before[n].User == a.User && before[n].Password != a.Password {
			a.Password = before[n].Password
			return a, true
		}
	}
	return Account{}, false
}

// refusedLogin says whether a server did not let a role in: class 28, "invalid authorization specification" (manual, appendix A).
func refusedLogin(err error) bool { return strings.HasPrefix(sqlState(err), "28") }

// setAccounts puts other accounts in force: for the agent's connections, the programs that it runs, and the standby's WAL receiver, whose
// connection string changes with the role and its TLS settings. A connection that stands is left alone.
func (i *Instance) setAccounts(a Accounts) error {
	a = a.withDefaults()
	was := i.accounts()
	if reflect.DeepEqual(was, a) {
		return nil
	}
	i.acc.Store(&rotation{now: a, before: was})
	i.confMu.Lock()
	i.upstream = reaccount(i.upstream, was.Replication, a.Replication)
	i.confMu.Unlock()
	i.log.Info("accounts changed", "superuser", a.Superuser.User, "replication", a.Replication.User, "rewind", a.Rewind.User)
	_, err := i.PassFile()
	return err
}

// reaccount is an upstream with another account of replication; what its connection string has besides stays.
func reaccount(up postgres.Upstream, was, now Account) postgres.Upstream {
	if up.Host == "" {
		return up
	}
	up.User = now.User
	up.Extra = slices.DeleteFunc(slices.Clone(up.Extra), func(s postgres.Setting) bool { return s.Name == "user" || was.Extra.Get(s.Name) != "" })
	for _, s := range now.Extra {
		up.Extra = up.Extra.With(s.Name, s.Value)
	}
	return up
}
