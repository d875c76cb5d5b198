package dynamic

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// PostgreSQL are the settings of the section postgresql that may stand in the shared configuration and in a member's own; see
// [Merge] for which wins.
type PostgreSQL struct {
	UsePgRewind                           bool
	UseSlots                              bool // from the shared configuration only
	RemoveDataDirectoryOnRewindFailure    bool
	RemoveDataDirectoryOnDivergedTimeline bool
	UseUnixSocket                         bool
	UseUnixSocketRepl                     bool

	// Parameters is postgresql.conf: values as PostgreSQL writes them.
	Parameters map[string]string
	// RecoveryConf are parameters that hold while a server is in recovery.
	RecoveryConf map[string]string
	// PgHBA and PgIdent replace the whole file; nil leaves the file alone.
	PgHBA, PgIdent []string
	// ByRole are additions for one role.
	ByRole map[Role]RoleSettings

	// Rewind and Basebackup are additional options of pg_rewind and pg_basebackup.
	Rewind, Basebackup []Option
	// CreateReplicaMethods are tried in order; "basebackup" is built in, any other is described in ReplicaMethods.
	CreateReplicaMethods []string
	ReplicaMethods       map[string]map[string]any

	// Callbacks are commands by event: on_start, on_stop, on_restart, on_reload, on_role_change.
	Callbacks    map[string]string
	PrePromote   string
	BeforeStop   string
	CustomConf   string // included in place of postgresql.base.conf
	PgCtlTimeout time.Duration
	BinDir       string
	BinName      map[string]string // name of the program by its usual name
	KrbSrvName   string
	Database     string // the agent's own connections; empty: postgres
}

// Role is the part that a server plays, as the keys parameters_<role>, pg_hba_<role> and pg_ident_<role> name it.
type Role string

// The roles with settings of their own.
const (
	RolePrimary       Role = "primary"
	RoleReplica       Role = "replica"
	RoleStandbyLeader Role = "standby_leader"
)

var roles = []Role{RolePrimary, RoleReplica, RoleStandbyLeader}

// RoleSettings are what holds for one role beside the general settings.
type RoleSettings struct {
	Parameters     map[string]string // added to the general ones
	PgHBA, PgIdent []string          // in place of the general ones
}

// For is p as it holds for a server in the given role.
func (p PostgreSQL) For(role Role) PostgreSQL {
	own, ok := p.ByRole[role]
	if !ok {
		return p
	}
	p.Parameters = maps.Clone(p.Parameters)
	if p.Parameters == nil {
		p.Parameters = map[string]string{}
	}
	maps.Copy(p.Parameters, own.Parameters)
	if own.PgHBA != nil {
		p.PgHBA = slices.Clone(own.PgHBA)
	}
	if own.PgIdent != nil {
		p.PgIdent = slices.Clone(own.PgIdent)
	}
	return p
}

// Option is a long option of a program: --name or --name=value.
type Option struct {
	Name  string
	Value string // empty: the option stands alone
}

// Arg is the option as an argument.
func (o Option) Arg() string {
	if o.Value == "" {
		return "--" + o.Name
	}
	return "--" + o.Name + "=" + o.Value
}

// RestoresAlone says whether a method of create_replica_methods needs no running server to copy from.
func (p PostgreSQL) RestoresAlone() bool {
	return slices.ContainsFunc(p.CreateReplicaMethods, func(name string) bool { return Yes(p.ReplicaMethods[name]["no_leader"]) })
}

// Yes reads a switch of a method's section.
func Yes(v any) bool {
	switch strings.ToLower(Text(v)) {
	case "true", "on", "yes", "1":
		return true
	}
	return false
}
