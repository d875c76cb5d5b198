package sim

import (
	"errors"
	"sort"
	"strings"
	"time"

	"quorate/raftstore/dcs"
)

const storeName = "store"

// store is the consensus store as a node sees it: linearizable, with leases, and sometimes away.
type store struct {
	w      *World
	rev    int64
	keys   map[string]dcs.KV
	last   map[string]int64 // the revision in which a key was last written or deleted
	leases map[int64]*lease
	nextID int64
	down   bool
	seen   *dcs.Cluster // the view of its revision: reading it anew for every host was half of a run
}

type lease struct {
	ttl time.Duration
	gen int
}

var (
	errAway    = errors.New("the store does not answer")
	errNoLease = errors.New("requested lease not found")
)

const clusterID = 77

func newStore(w *World) *store {
	return &store{w: w, rev: 1, keys: map[string]dcs.KV{}, last: map[string]int64{}, leases: map[int64]*lease{}, nextID: 100}
}

// request carries a call from a host to the store and its answer back. Either way may be lost; a call whose answer is lost was
// done all the same.
func (s *store) request(h *host, do func() error, answer func(error)) {
	inc := h.incarnation
	reply := func(d time.Duration, err error) {
		s.w.after(d, func() {
			if h.incarnation == inc {
				h.run(func() { answer(err) })
			}
		})
	}
	if s.down || !s.w.linked(h.name, storeName) {
		reply(s.w.span(200, 1000), errAway)
		return
	}
	arrival := s.w.span(0, 4)
	if !s.w.quiet && s.w.chance(0.02) {
		arrival = s.w.span(10, 3000) // what was decided may have become wrong by then
	}
	s.w.after(arrival, func() {
		if s.down {
			reply(s.w.span(200, 1000), errAway)
			return
		}
		err := do()
		switch {
		case !s.w.linked(h.name, storeName), !s.w.quiet && s.w.chance(0.01):
			reply(s.w.span(500, 1500), errAway) // done, but unknown
		case !s.w.quiet && s.w.chance(0.02):
			reply(s.w.span(50, 900), err) // late
		default:
			reply(s.w.span(0, 4), err)
		}
	})
}

func (s *store) commit(t dcs.Txn) (bool, error) {
	for _, c := range t.If {
		if !s.holds(c) {
			return false, nil
		}
	}
	for _, op := range t.Then {
		if op.Lease != 0 && s.leases[op.Lease] == nil {
			return false, errNoLease
		}
	}
	s.rev++
	for _, op := range t.Then {
		if _, there := s.keys[op.Key]; op.Delete && !there {
			continue // nothing changes
		}
		s.last[op.Key] = s.rev
		if op.Delete {
			delete(s.keys, op.Key)
			continue
		}
		kv, ok := s.keys[op.Key]
		if !ok {
			kv = dcs.KV{Key: op.Key, CreateRevision: s.rev}
		}
		kv.Value, kv.ModRevision, kv.Lease = []byte(op.Value), s.rev, op.Lease
		s.keys[op.Key] = kv
	}
	s.notify()
	return true, nil
}

func (s *store) holds(c dcs.Compare) bool {
	kv, ok := s.keys[c.Key]
	switch c.Target {
	case dcs.Create:
		return kv.CreateRevision == c.Rev
	case dcs.Mod:
		return kv.ModRevision == c.Rev
	}
	return ok && string(kv.Value) == c.Value
}

func (s *store) grant(ttl time.Duration) int64 {
	s.nextID++
	s.leases[s.nextID] = &lease{ttl: ttl}
	s.extend(s.nextID)
	return s.nextID
}

func (s *store) keepAlive(id int64) error {
	if s.leases[id] == nil {
		return errNoLease
	}
	s.extend(id)
	return nil
}

// extend lets the lease live for its ttl from now, and as long again as the store's members may be late with ending it.
func (s *store) extend(id int64) {
	l := s.leases[id]
	l.gen++
	gen := l.gen
	late := s.w.span(0, 100)
	if s.w.chance(0.1) {
		late = s.w.span(0, 1500)
	}
	s.w.after(l.ttl+late, func() { s.expire(id, gen) })
}

func (s *store) expire(id int64, gen int) {
	l := s.leases[id]
	if l == nil || l.gen != gen {
		return
	}
	if s.down {
		s.w.after(s.w.span(100, 1000), func() { s.expire(id, gen) })
		return
	}
	delete(s.leases, id)
	s.revoked(id)
}

// revoked deletes a lease's keys in one revision.
func (s *store) revoked(id int64) {
	var gone []string
	for k, kv := range s.keys {
		if kv.Lease == id {
			gone = append(gone, k)
		}
	}
	if len(gone) == 0 {
		return
	}
	s.rev++
	for _, k := range gone {
		delete(s.keys, k)
		s.last[k] = s.rev
	}
	s.w.log("store: lease %d ended: %s", id, strings.Join(sorted(gone), " "))
	s.notify()
}

// view is the cluster as of now. Hosts share it, as nobody may change it.
func (s *store) view(keys dcs.Keys) *dcs.Cluster {
	if s.seen != nil && s.seen.Revision == s.rev {
		return s.seen
	}
	kvs := make([]dcs.KV, 0, len(s.keys))
	for _, kv := range s.keys {
		kvs = append(kvs, kv)
	}
	sort.Slice(kvs, func(i, j int) bool { return kvs[i].Key < kvs[j].Key })
	s.seen = dcs.Parse(keys, clusterID, s.rev, kvs)
	return s.seen
}

// notify tells the hosts of a change, as a watch does: soon, unless they are cut off.
func (s *store) notify() {
	for _, h := range s.w.hosts {
		inc := h.incarnation
		c := s.view(h.keys)
		s.w.after(s.w.span(0, 6), func() {
			if h.incarnation == inc && !s.down && s.w.linked(h.name, storeName) {
				h.run(func() { h.see(c, 0) })
			}
		})
	}
}

func sorted(in []string) []string {
	sort.Strings(in)
	return in
}
