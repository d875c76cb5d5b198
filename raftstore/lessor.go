package raftstore

import (
	"math"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// minLeaseTTL is the shortest lease, in seconds. etcd's is one and a half election timeouts, rounded up: with ours, 1.
const minLeaseTTL = 1

// maxLeaseTick is the most by which leases age at once: see leaseTimes. It is well above the ticker's period, so that an
// ordinary delay of the scheduler ages them truly, and below the time in which a leader is deposed.
const maxLeaseTick = 250 * time.Millisecond

// lessor is the replicated half of leases, behind the interface that mvcc and the transactions ask: which leases there
// are and which keys hang on them. Only applied log entries change it. Their times are leaseTimes', kept here under the
// same lock because granting and revoking touch both.
type lessor struct {
	now func() time.Duration // monotonic

	// mu guards what follows. It is never held while a lock of mvcc or the backend is taken, since those call Attach and
	// Detach with their own locks held.
	mu     sync.Mutex
	times  *leaseTimes
	leases map[int64]*heldLease
	items  map[string]int64 // key -> the lease it hangs on
	be     backend.Backend
	rd     lease.RangeDeleter
}

// heldLease is a lease and the keys on it.
type heldLease struct {
	grant uint64
	ttl   int64 // seconds, as granted
	keys  map[string]struct{}
	etcd  *lease.Lease // what Lookup hands out; never changes
}

var _ lease.Lessor = (*lessor)(nil)

func newLessor(now func() time.Duration) *lessor {
	return &lessor{
		now: now, times: newLeaseTimes(maxLeaseTick),
		leases: map[int64]*heldLease{}, items: map[string]int64{},
	}
}

func newHeldLease(id int64, grant uint64, ttl int64) *heldLease {
	return &heldLease{grant: grant, ttl: ttl, keys: map[string]struct{}{}, etcd: lease.NewLease(lease.LeaseID(id), ttl)}
}

// grantAt applies a grant that stands at a log index.
func (l *lessor) grantAt(id, ttl int64, index uint64) (int64, error) {
	switch {
	case id == int64(lease.NoLease):
		return 0, lease.ErrLeaseNotFound
	case ttl > lease.MaxLeaseTTL:
		return 0, lease.ErrLeaseTTLTooLarge
	}
	ttl = max(ttl, minLeaseTTL)
	if !l.add(id, ttl, index) {
		return 0, lease.ErrLeaseExists
	}
	putLease(l.be, &leasepb.Lease{ID: id, TTL: ttl}, index)
	return ttl, nil
}

func (l *lessor) add(id, ttl int64, index uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leases[id] != nil {
		return false
	}
	l.leases[id] = newHeldLease(id, index, ttl)
	l.times.grant(l.now(), id, index, seconds(ttl))
	return true
}

// seconds turns a ttl into a duration; etcd allows ttls of 285 years and more.
func seconds(ttl int64) time.Duration {
	if ttl > int64(math.MaxInt64/4/time.Second) {
		return math.MaxInt64 / 4
	}
	return time.Duration(ttl) * time.Second
}

// Revoke deletes a lease and, in one revision, every key that hangs on it, sorted so that all replicas write alike.
func (l *lessor) Revoke(id lease.LeaseID) error {
	l.mu.Lock()
	held := l.leases[int64(id)]
	if held == nil {
		l.mu.Unlock()
		return lease.ErrLeaseNotFound
	}
	keys := held.sortedKeys()
	l.mu.Unlock()

	txn := l.rd() // takes mvcc's locks, and its deletions call Detach
	for _, key := range keys {
		txn.DeleteRange([]byte(key), nil)
	}
	l.mu.Lock()
	delete(l.leases, int64(id))
	l.times.remove(int64(id))
	l.mu.Unlock()
	unsafeDeleteLease(l.be, int64(id))
	txn.End()
	return nil
}

// expire applies an expiry: see there. It reports whether the lease went.
func (l *lessor) expire(e expiry, entryTerm uint64) (bool, error) {
	l.mu.Lock()
	held := l.leases[e.Lease]
	l.mu.Unlock()
	if held == nil || held.grant != e.Grant || e.Term != entryTerm {
		return false, nil
	}
	return true, l.Revoke(lease.LeaseID(e.Lease))
}

func (h *heldLease) sortedKeys() []string {
	keys := make([]string, 0, len(h.keys))
	for k := range h.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// keysOf returns the keys on a lease, sorted.
func (l *lessor) keysOf(id int64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.leases[id]; held != nil {
		return held.sortedKeys()
	}
	return nil
}

// ttlOf returns a lease's granted ttl in seconds and the log index of its grant.
func (l *lessor) ttlOf(id int64) (ttl int64, grant uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.leases[id]
	if held == nil {
		return 0, 0, false
	}
	return held.ttl, held.grant, true
}

// Recover reads the leases of another backend, before mvcc reads its keys and attaches them.
func (l *lessor) Recover(be backend.Backend, rd lease.RangeDeleter) {
	grants := readLeases(be)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.be, l.rd = be, rd
	l.leases, l.items = map[int64]*heldLease{}, map[string]int64{}
	times := make([]grantedLease, 0, len(grants))
	for _, g := range grants {
		l.leases[g.ID] = newHeldLease(g.ID, g.Grant, g.Seconds)
		times = append(times, grantedLease{ID: g.ID, Grant: g.Grant, TTL: seconds(g.Seconds)})
	}
	l.times.restore(l.now(), times)
}

// Attach hangs keys on a lease.
func (l *lessor) Attach(id lease.LeaseID, items []lease.LeaseItem) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.leases[int64(id)]
	if held == nil {
		return lease.ErrLeaseNotFound
	}
	for _, it := range items {
		held.keys[it.Key] = struct{}{}
		l.items[it.Key] = int64(id)
	}
	return nil
}

// Detach takes keys off a lease.
func (l *lessor) Detach(id lease.LeaseID, items []lease.LeaseItem) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.leases[int64(id)]
	if held == nil {
		return lease.ErrLeaseNotFound
	}
	for _, it := range items {
		delete(held.keys, it.Key)
		if l.items[it.Key] == int64(id) {
			delete(l.items, it.Key)
		}
	}
	return nil
}

// GetLease returns the lease that a key hangs on, or NoLease.
func (l *lessor) GetLease(item lease.LeaseItem) lease.LeaseID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lease.LeaseID(l.items[item.Key])
}

// Lookup returns the lease, or nil. It carries id and ttl and never keys; those are keysOf's.
func (l *lessor) Lookup(id lease.LeaseID) *lease.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.leases[int64(id)]; held != nil {
		return held.etcd
	}
	return nil
}

// Leases returns all leases by id.
func (l *lessor) Leases() []*lease.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*lease.Lease, 0, len(l.leases))
	for _, held := range l.leases {
		list = append(list, held.etcd)
	}
	slices.SortFunc(list, func(a, b *lease.Lease) int { return int(min(1, max(-1, a.ID-b.ID))) })
	return list
}

// SetRangeDeleter is called by mvcc when it is made: what it passes is how keys are deleted with their watch events.
func (l *lessor) SetRangeDeleter(rd lease.RangeDeleter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rd = rd
}

// The rest of lease.Lessor belongs to etcd's own way of timing leases, which is not ours: the store calls leaseTimes.

// Grant is not called: a grant needs its log index, see grantAt.
func (l *lessor) Grant(lease.LeaseID, int64) (*lease.Lease, error) { return nil, lease.ErrNotPrimary }

// Renew is not called: a renewal needs a quorum, see Store.LeaseRenew.
func (l *lessor) Renew(lease.LeaseID) (int64, error) { return 0, lease.ErrNotPrimary }

// Checkpoint does nothing: remaining times are not replicated by the log.
func (l *lessor) Checkpoint(lease.LeaseID, int64) error { return nil }

// SetCheckpointer does nothing, as Checkpoint.
func (l *lessor) SetCheckpointer(lease.Checkpointer) {}

// Promote does nothing: see leaseTimes.promote.
func (l *lessor) Promote(time.Duration) {}

// Demote does nothing: see leaseTimes.demote.
func (l *lessor) Demote() {}

// ExpiredLeasesC never delivers: see leaseTimes.due.
func (l *lessor) ExpiredLeasesC() <-chan []*lease.Lease { return nil }

// Stop does nothing: the lessor has no goroutine.
func (l *lessor) Stop() {}

// tick advances the clock of the leases, unless something else is under way with them: then that does.
func (l *lessor) tick() {
	if l.mu.TryLock() {
		l.times.advance(l.now())
		l.mu.Unlock()
	}
}

// withTimes runs f on the lease times under the lessor's lock.
func (l *lessor) withTimes(f func(t *leaseTimes, now time.Duration)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.times, l.now())
}

// storedLease is a lease as the backend has it.
type storedLease struct {
	ID      int64
	Grant   uint64
	Seconds int64
}

// putLease writes a lease into etcd's bucket, for etcd's tools, and its grant's log index into ours.
func putLease(be backend.Backend, l *leasepb.Lease, grant uint64) {
	tx := be.BatchTx()
	tx.LockInsideApply()
	defer tx.Unlock()
	schema.MustUnsafePutLease(tx, l)
	tx.UnsafePut(grantBucket, u64Key(uint64(l.ID)), u64Key(grant))
}

func unsafeDeleteLease(be backend.Backend, id int64) {
	tx := be.BatchTx()
	schema.UnsafeDeleteLease(tx, &leasepb.Lease{ID: id})
	tx.UnsafeDelete(grantBucket, u64Key(uint64(id)))
}

func readLeases(be backend.Backend) []storedLease {
	tx := be.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	schema.UnsafeCreateLeaseBucket(tx)
	tx.UnsafeCreateBucket(grantBucket)
	var list []storedLease
	for _, l := range schema.MustUnsafeGetAllLeases(tx) {
		s := storedLease{ID: l.ID, Seconds: max(l.TTL, minLeaseTTL)}
		if _, vals := tx.UnsafeRange(grantBucket, u64Key(uint64(l.ID)), nil, 0); len(vals) == 1 {
			s.Grant = keyU64(vals[0])
		}
		list = append(list, s)
	}
	return list
}
