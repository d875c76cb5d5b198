package ha

import (
	"encoding/json"
	"math/rand/v2"

	"quorate/internal/config/dynamic"
	"quorate/raftstore/dcs"
)

// topology draws from a sequence of its own, so that what is added here leaves all the rest as it was.
func (w *world) topology(seed uint64) {
	own := *w
	own.r = rand.New(rand.NewPCG(seed, 13))
	s := &w.s
	s.Self.ReplicateFrom, s.Self.NoStream = pick(own.r, "", "", "b", "c", "gone"), own.chance(0.1)
	own.upstreams()
	if own.chance(0.5) {
		s.PG.Slots = pick(own.r, []string{"b"}, []string{"b", "c"}, []string{"c", "mine"})
	}
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

// upstreams gives some members tags about whom they follow.
func (w *world) upstreams() {
	for _, n := range []string{"b", "c"} {
		key := w.s.Keys.Member(n)
		kv, ok := w.kvs[key]
		if !ok || !w.chance(0.4) {
			continue
		}
		var m dcs.Member
		if json.Unmarshal(kv.Value, &m) != nil {
			continue
		}
		m.FollowingTerm = pick[int64](w.r, 0, scriptTerm, scriptTerm, 45)
		m.Tags = pick(w.r, m.Tags, map[string]any{"replicatefrom": "c"}, map[string]any{"replicatefrom": "a"}, map[string]any{"nostream": true})
		kv.Value = []byte(dcs.Encode(m))
		w.kvs[key] = kv
	}
}
