package postgres

// SettingRow is a row of pg_settings as far as restarts go.
type SettingRow struct {
	Name    string
	Setting string // in Unit
	Current string // as SHOW prints it, for people
	Unit    string
	VarType string
	Pending bool // pg_settings.pending_restart: the file has another value than the postmaster
}

// Pending is a parameter that takes its new value at the next restart.
type Pending struct {
	Name string `json:"name"`
	Old  string `json:"old_value"`
	New  string `json:"new_value"`
}

// PendingRestart lists the parameters, in the rows' order, whose running value differs from the wanted one. Those given as arguments of the
// postmaster are compared, since a changed file would not show through the argument; for the others PostgreSQL's own flag counts.
func PendingRestart(rows []SettingRow, wanted Params, args []string) []Pending {
	isArg := make(map[string]bool, len(args))
	for _, a := range args {
		isArg[a] = true
	}
	var out []Pending
	for _, r := range rows {
		want, ok := wanted[r.Name]
		differs := ok && isArg[r.Name] && !SameValue(r.VarType, r.Unit, r.Setting, want)
		if r.Pending || differs {
			out = append(out, Pending{Name: r.Name, Old: r.Current, New: want})
		}
	}
	return out
}
