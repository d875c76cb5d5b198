package ha

import (
	"math/rand/v2"

	"quorate/internal/config/dynamic"
)

// topology draws from a sequence of its own, so that what is added here leaves all the rest as it was.
func (w *world) topology(seed uint64) {
	own := *w
	own.r = rand.New(rand.NewPCG(seed, 13))
	s := &w.s
	if !own.chance(0.15) {
		return
	}
	s.Set.StandbyCluster = pick(own.r, &dynamic.StandbyCluster{Host: "far", Port: "5432", PrimarySlotName: "s"}, &dynamic.StandbyCluster{RestoreCommand: "cp"}, nil)
	s.Mem.StandbyTerm, s.Mem.SyncTerm = own.term(), own.term()
	if s.Set.StandbyCluster != nil && own.chance(0.5) {
		d := decider{s: *s}
		d.cluster = w.snapshot().Store.Cluster
		if d.cluster != nil {
			s.PG.Following = d.remote()
		}
	}
}
