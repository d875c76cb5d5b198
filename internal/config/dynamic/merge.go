package dynamic

import "slices"

// commandLine are the parameters that must be equal on all members, because a standby refuses to start, or to replay, with less
// than its primary had. They come from the shared configuration only.
var commandLine = []string{
	"max_connections", "max_locks_per_transaction", "max_worker_processes", "max_prepared_transactions", "wal_level",
	"track_commit_timestamp", "max_wal_senders", "max_replication_slots", "wal_log_hints",
}

// derived are the parameters that follow from listen and scope, and one that must stay on.
var derived = []string{"listen_addresses", "port", "cluster_name", "hot_standby"}

// IsSharedParameter says whether a PostgreSQL parameter may be set in the shared configuration only.
func IsSharedParameter(name string) bool { return slices.Contains(commandLine, name) }

// Merge lays a member's own section postgresql over the shared configuration: key by key its value wins, in parameters and
// parameters_<role> parameter by parameter. use_slots and the parameters of [IsSharedParameter] are the cluster's alone, the
// addresses, folders and passwords the member's alone. The result is a shared configuration in form, ready for [Parse].
func Merge(shared, local map[string]any) (map[string]any, []Correction) {
	var out []Correction
	r := &reader{path: "postgresql", out: &out}
	section := map[string]any{}
	fromShared, ok := shared["postgresql"].(map[string]any)
	if found := shared["postgresql"]; found != nil && !ok {
		out = append(out, Correction{Setting: "postgresql", Found: Quote(found), Reason: "expected a mapping"})
	}
	for _, key := range SortedKeys(fromShared) {
		if slices.Contains(localOnly, key) {
			r.misplaced(key, Quote(fromShared[key]), "it belongs into each member's own file")
			continue
		}
		section[key] = copied(fromShared[key])
	}
	for _, key := range SortedKeys(local) {
		r.overlay(section, key, local[key])
	}
	r.dropDerived(section)
	merged := clone(shared)
	merged["postgresql"] = section
	return merged, out
}

// overlay applies one setting of the member's own file.
func (r *reader) overlay(section map[string]any, key string, value any) {
	switch {
	case key == "use_slots":
		r.misplaced(key, Quote(value), "slots are used by the whole cluster or by none; write it into the shared configuration")
	case isParameters(key):
		r.overlayParameters(section, key, value)
	case slices.Contains(localOnly, key) || value == nil:
	default:
		section[key] = copied(value)
	}
}

func isParameters(key string) bool {
	return key == "parameters" || slices.ContainsFunc(roles, func(role Role) bool { return key == "parameters_"+string(role) })
}

func (r *reader) overlayParameters(section map[string]any, key string, value any) {
	own, ok := value.(map[string]any)
	if !ok {
		if value != nil {
			r.wrong(key, Quote(value), "", "expected a mapping")
		}
		return
	}
	merged, _ := section[key].(map[string]any)
	merged = clone(merged)
	for _, name := range SortedKeys(own) {
		if IsSharedParameter(name) {
			// It is no mistake to have it in a file that was written before the cluster was founded: only say so when it differs.
			if !same(own[name], merged[name]) {
				r.misplaced(key+"."+name, Quote(own[name]), "it must be equal on all members; write it into the shared configuration (edit-config)")
			}
			continue
		}
		merged[name] = copied(own[name])
	}
	section[key] = merged
}

// dropDerived takes out the parameters that nobody may set, in whichever layer they stand.
func (r *reader) dropDerived(section map[string]any) {
	for _, key := range SortedKeys(section) {
		params, ok := section[key].(map[string]any)
		if !ok || !isParameters(key) {
			continue
		}
		for _, name := range derived {
			v, exists := params[name]
			if !exists {
				continue
			}
			delete(params, name)
			if on, err := Bool(v); name == "hot_standby" && err == nil && on {
				continue
			}
			r.misplaced(key+"."+name, Quote(v), "it follows from the settings listen and scope, or is forced")
		}
	}
}
