package dynamic

import (
	"fmt"
	"time"
)

// callbackEvents are the events that a command can be bound to.
var callbackEvents = []string{"on_reload", "on_restart", "on_role_change", "on_start", "on_stop"}

// localOnly are the settings of the section postgresql that one member's file alone may give.
var localOnly = []string{
	"connect_address", "proxy_address", "listen", "config_dir", "data_dir", "pgpass", "authentication",
}

func parsePostgreSQL(top *reader, standby *StandbyCluster) PostgreSQL {
	r, _ := top.sub("postgresql")
	p := PostgreSQL{
		UsePgRewind:                           r.bool("use_pg_rewind", true),
		UseSlots:                              r.bool("use_slots", true),
		RemoveDataDirectoryOnRewindFailure:    r.bool("remove_data_directory_on_rewind_failure", true),
		RemoveDataDirectoryOnDivergedTimeline: r.bool("remove_data_directory_on_diverged_timelines", true),
		UseUnixSocket:                         r.bool("use_unix_socket", false),
		UseUnixSocketRepl:                     r.bool("use_unix_socket_repl", false),
		Parameters:                            r.gucs("parameters"),
		RecoveryConf:                          r.gucs("recovery_conf"),
		PgHBA:                                 r.strings("pg_hba"),
		PgIdent:                               r.strings("pg_ident"),
		ByRole:                                byRole(r),
		Rewind:                                options(r, "rewind"),
		Basebackup:                            options(r, "basebackup"),
		CreateReplicaMethods:                  r.strings("create_replica_methods", "create_replica_method"),
		Callbacks:                             commands(r, "callbacks", callbackEvents),
		PrePromote:                            r.text("pre_promote"),
		BeforeStop:                            r.text("before_stop"),
		CustomConf:                            r.text("custom_conf"),
		PgCtlTimeout:                          r.duration(60*time.Second, "pg_ctl_timeout"),
		BinDir:                                r.text("bin_dir"),
		BinName:                               binNames(r),
		KrbSrvName:                            r.text("krbsrvname"),
		Database:                              r.text("database"),
	}
	if len(p.CreateReplicaMethods) == 0 {
		p.CreateReplicaMethods = []string{builtIn}
	}
	p.ReplicaMethods = map[string]map[string]any{}
	p.CreateReplicaMethods = p.described(r, p.CreateReplicaMethods)
	if standby != nil {
		standby.CreateReplicaMethods = p.described(r, standby.CreateReplicaMethods)
	}
	r.known = append(r.known, localOnly...)
	r.unknown()
	return p
}

// builtIn is the method that needs no description: pg_basebackup.
const builtIn = "basebackup"

// described keeps the methods that can be used: those with a mapping under their own name, which it collects.
func (p *PostgreSQL) described(r *reader, methods []string) []string {
	var out []string
	for _, name := range methods {
		if name == builtIn {
			out = append(out, name)
			continue
		}
		m, ok := r.sub(name)
		if !ok {
			r.report(Unknown, "create_replica_methods", Quote(name), "", "there is no section postgresql."+name+" with its command")
			continue
		}
		p.ReplicaMethods[name] = m.raw
		out = append(out, name)
	}
	return out
}

func byRole(r *reader) map[Role]RoleSettings {
	out := map[Role]RoleSettings{}
	for _, role := range roles {
		s := RoleSettings{
			Parameters: r.gucs("parameters_" + string(role)),
			PgHBA:      r.strings("pg_hba_" + string(role)),
			PgIdent:    r.strings("pg_ident_" + string(role)),
		}
		if s.Parameters != nil || s.PgHBA != nil || s.PgIdent != nil {
			out[role] = s
		}
	}
	return out
}

// commands reads a mapping from known names to texts.
func commands(r *reader, key string, names []string) map[string]string {
	out := map[string]string{}
	s, ok := r.sub(key)
	if !ok {
		return out
	}
	for _, name := range names {
		if text := s.text(name); text != "" {
			out[name] = text
		}
	}
	s.unknown()
	return out
}

var binaries = []string{"pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready", "pg_rewind", "pg_waldump"}

func binNames(r *reader) map[string]string { return commands(r, "bin_name", binaries) }

// options reads additional options of a program: a list whose items are names or single name-value mappings, or one mapping.
func options(r *reader, key string) []Option {
	found, v, ok := r.get(key)
	if !ok {
		return nil
	}
	if m, isMap := v.(map[string]any); isMap {
		v = []any{m}
	}
	items, isList := v.([]any)
	if !isList {
		r.wrong(found, Quote(v), "", "expected a list of options")
		return nil
	}
	var out []Option
	for i, item := range items {
		switch x := item.(type) {
		case string:
			out = append(out, Option{Name: x})
		case map[string]any:
			for _, name := range SortedKeys(x) {
				out = append(out, Option{Name: name, Value: Text(x[name])})
			}
		default:
			r.wrong(fmt.Sprintf("%s[%d]", found, i), Quote(item), "", "expected an option's name, or a mapping of one name to its value")
		}
	}
	return out
}
