package doctor

import (
	"fmt"
	"strings"
)

// writerRules are about a second process that might write to the data, or take the agent's place.
var writerRules = []Rule{
	{"postmasters", "no PostgreSQL beside the one that Quorate guards", hasPostgres, checkPostmasters},
	{"units", "nothing else starts PostgreSQL or an agent at boot", hasPostgres, checkUnits},
	{"ports", "the ports are free, or held by Quorate", nil, checkListeners},
}

func checkPostmasters(f *Facts) (out []Finding) {
	ours := 0
	var others []string
	for _, p := range f.Postmasters {
		where := fmt.Sprintf("process %d", p.PID)
		switch {
		case p.Ours:
			ours++
			if !p.Fenced {
				out = append(out, warning(where, "PostgreSQL runs on "+p.DataDir+" and is no child of Quorate's fence: it was started by somebody else, "+
					"or was taken over while it ran. It is fenced by its process id, and lacks the bond of parent and child",
					"under Quorate: restart it once (quorate restart). Else stop it: pg_ctl stop -D "+p.DataDir))
			}
		default:
			others = append(others, fmt.Sprintf("%s (process %d)", p.DataDir, p.PID))
		}
	}
	if len(others) > 0 {
		sortText(others)
		out = append(out, note(f.Name, "other PostgreSQL servers run on this host: "+strings.Join(others, ", "), "they share memory and disks; make sure that they are meant to run here"))
	}
	if ours > 1 {
		out = append(out, danger(f.Data.Path, fmt.Sprintf("%d postmasters run on the same data folder", ours),
			"stop the cluster's member here at once (systemctl stop quorate), end them all, and give the member a new copy (quorate reinit)"))
	}
	return out
}

func checkUnits(f *Facts) (out []Finding) {
	for _, u := range f.Units {
		switch {
		case u.Kind == "patroni" && !u.Configured:
			out = append(out, note(u.Name, "Patroni is started at boot; it has no configuration, so that it does nothing yet", "systemctl disable --now "+u.Name))
		case u.Kind == "patroni":
			out = append(out, danger(u.Name, "Patroni is started at boot: two agents would fight over one PostgreSQL", "systemctl disable --now "+u.Name))
		case u.DataDir == f.Data.Path:
			out = append(out, danger(u.Name, "the system starts PostgreSQL on "+u.DataDir+" at boot, beside Quorate: a former primary would come up by itself",
				"systemctl disable --now "+u.Name+", and write 'disabled' in its start.conf"))
		default:
			out = append(out, note(u.Name, "the system starts another PostgreSQL on "+u.DataDir+" at boot", "systemctl disable --now "+u.Name+", if it is only the one that the package made"))
		}
	}
	return out
}

func checkListeners(f *Facts) (out []Finding) {
	for _, l := range f.Listeners {
		if l.Owner != "" && l.Other {
			out = append(out, danger(l.Addr, fmt.Sprintf("the port of %s is held by %s (process %d)", l.Key, l.Owner, l.PID),
				"stop that program, or give "+l.Key+" another port"))
		}
	}
	return out
}
