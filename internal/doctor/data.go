package doctor

import (
	"fmt"
	"strings"
)

func hasPostgres(f *Facts) bool { return f.Roles.Postgres }

// dataRules are about what keeps acknowledged commits.
var dataRules = []Rule{
	{"unsafe-parameters", "fsync, full_page_writes, synchronous_commit", hasServers, checkUnsafe},
	{"data-folder", "the data folder can be started on by these programs", hasPostgres, checkData},
	{"system-identifier", "all members hold one and the same database", hasServers, checkSystemID},
	{"rewind", "a former primary can be rewound: data checksums or wal_log_hints", hasPostgres, checkRewind},
	{"kept-aside", "data folders and WAL kept aside after a divergence", hasPostgres, checkKept},
}

func hasServers(f *Facts) bool { return len(f.Cluster.Members) > 0 }

// checkUnsafe looks at parameters that give up what was acknowledged (PostgreSQL's manual, 20.5 Write Ahead Log).
func checkUnsafe(f *Facts) (out []Finding) {
	sync := f.Cluster.Config != nil && f.Cluster.Config.SynchronousMode.Enabled()
	for _, m := range f.Cluster.Members {
		for name, what := range map[string]string{
			"fsync":            "a crash of the host can destroy the whole database",
			"full_page_writes": "a crash of the host can leave half-written pages, unless the file system never tears them",
		} {
			if m.Server.Settings[name] == "off" {
				out = append(out, danger(m.Name, name+" is off: "+what,
					fmt.Sprintf("quorate edit-config -s postgresql.parameters.%s=on", name)))
			}
		}
		switch v := m.Server.Settings["synchronous_commit"]; {
		case sync && (v == "off" || v == "local" || v == "remote_write"):
			out = append(out, danger(m.Name, "synchronous_commit is "+v+" while synchronous_mode is on: a failover can lose acknowledged commits",
				"quorate edit-config -s postgresql.parameters.synchronous_commit=on"))
		case v == "off":
			out = append(out, warning(m.Name, "synchronous_commit is off: a crash loses commits of the last moments that were acknowledged",
				"quorate edit-config -s postgresql.parameters.synchronous_commit=on, unless this is what the application wants"))
		}
	}
	return byPlace(out)
}

func checkData(f *Facts) []Finding {
	d := f.Data
	switch {
	case !d.Looked:
		return []Finding{unknown(d.Path, "the data folder could not be looked at", "run the doctor as root, or as the user of PostgreSQL")}
	case d.Problem != "" && !d.Empty:
		return []Finding{danger(d.Path, "PostgreSQL cannot be started on this folder: "+d.Problem, "")}
	case d.Problem != "" && d.Programs == 0:
		return []Finding{danger(d.Path, d.Problem, "install PostgreSQL's server package, or set postgresql.bin_dir")}
	case !d.Empty && !d.StandbySignal && !d.Run:
		return []Finding{warning(d.Path, "the folder is at rest and has no standby.signal: whoever starts PostgreSQL on it by hand starts a primary",
			"let Quorate start it; it puts the file back")}
	}
	return nil
}

func checkSystemID(f *Facts) []Finding {
	by := map[string][]string{}
	for _, m := range f.Cluster.Members {
		if m.SystemID != "" {
			by[m.SystemID] = append(by[m.SystemID], m.Name)
		}
	}
	if id := f.Data.SystemID; id != "" && len(by) > 0 && len(by[id]) == 0 {
		by[id] = append(by[id], f.Name+" (its folder)")
	}
	if len(by) < 2 {
		return nil
	}
	var parts []string
	for id, names := range by {
		parts = append(parts, id+": "+strings.Join(names, ", "))
	}
	sortText(parts)
	return []Finding{danger(f.Scope, "members hold different databases ("+strings.Join(parts, "; ")+")",
		"find out which one is the cluster's, and give the others a new copy (quorate reinit) or a scope of their own")}
}

func checkRewind(f *Facts) []Finding {
	hints, known := f.Data.Checksums || f.Data.Hints, f.Data.Control
	for _, m := range f.Cluster.Members {
		if s := m.Server.Settings; m.IsLeader() && s != nil {
			hints, known = s["data_checksums"] == "on" || s["wal_log_hints"] == "on", true
		}
	}
	if known && !hints {
		return []Finding{warning("postgresql.parameters.wal_log_hints",
			"neither data checksums nor wal_log_hints are on: pg_rewind does not work, and a former primary needs a whole new copy",
			"quorate edit-config -s postgresql.parameters.wal_log_hints=on, then quorate restart "+f.Scope)}
	}
	return nil
}

func checkKept(f *Facts) []Finding {
	if f.Data.Kept+f.Data.KeptLogs == 0 {
		return nil
	}
	return []Finding{warning(f.Data.Path, fmt.Sprintf("%d data folders and %d pieces of WAL that left the cluster's history are kept aside (%s)",
		f.Data.Kept, f.Data.KeptLogs, size(f.Data.KeptBytes)),
		"quorate diverged list says what they hold; get it out (docs/recovery.md), then quorate diverged remove")}
}
