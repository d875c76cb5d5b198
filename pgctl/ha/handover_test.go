package ha

import "testing"

// A handover that has come to its end is forgotten: in a pause the memory of one is what a stopped PostgreSQL may be started for (found by the simulator,
// mode on, seed 1403).
func TestHandoverEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		term   int64 // of the handover
		phase  Phase
		leader string
		kept   bool
	}{
		{"it is under way", scriptTerm, Running, "a", true},
		{"the new primary leads, the old one is to follow", scriptTerm - 1, Stopped, "b", true},
		{"the old one follows", scriptTerm - 1, Running, "b", false},
		{"the old one leads again", scriptTerm - 1, Stopped, "a", false},
	} {
		for seed := range uint64(300) {
			w := randomWorld(seed)
			if w.kvs == nil || w.s.PG.Folder != FolderData {
				continue
			}
			w.put(w.s.Keys.Leader(), c.leader, scriptTerm, scriptTerm, leaseOf[c.leader])
			w.s.PG.Phase, w.s.Set.Pause = c.phase, true
			w.s.Mem.Handover = Handover{Term: term(c.term), To: "b", Stage: stageStop}
			s := w.snapshot()
			d := decider{s: s, cluster: s.Store.Cluster, mem: s.Mem}
			d.observe()
			if kept := !d.mem.Handover.Term.IsZero(); kept != c.kept {
				t.Fatalf("%s, snapshot %d: kept %v", c.name, seed, kept)
			}
		}
	}
}
