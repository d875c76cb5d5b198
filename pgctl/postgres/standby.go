package postgres

import "strconv"

// StandbyMinimums raises the parameters that a standby must have at least as large as its primary had when it wrote the log that is
// being replayed; with less it refuses to start, or stops replaying (manual, section 27.4.3 "Administrator's Overview"). The
// control data holds what the primary had. The second result names the raised ones: they wait for a restart that lowers them, once the
// primary has run with the lower value.
func StandbyMinimums(p Params, c ControlData) (Params, []Correction) {
	out := p.Clone()
	if out == nil {
		out = Params{}
	}
	var raised []Correction
	for _, m := range standbyMinimums {
		have, ok := ParseInUnit(out[m.name], "")
		need := m.of(c)
		if ok && have >= float64(need) || !ok && need == 0 {
			continue
		}
		is := strconv.Itoa(need)
		raised = append(raised, Correction{m.name, out[m.name], is, "the primary had as many when it wrote the log that is to be replayed"})
		out[m.name] = is
	}
	return out, raised
}

var standbyMinimums = []struct {
	name string
	of   func(ControlData) int
}{
	{"max_connections", func(c ControlData) int { return c.MaxConnections }},
	{"max_locks_per_transaction", func(c ControlData) int { return c.MaxLocksPerXact }},
	{"max_prepared_transactions", func(c ControlData) int { return c.MaxPreparedXacts }},
	{"max_wal_senders", func(c ControlData) int { return c.MaxWALSenders }},
	{"max_worker_processes", func(c ControlData) int { return c.MaxWorkerProcesses }},
}
