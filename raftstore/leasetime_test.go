package raftstore

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const tick = 100 * time.Millisecond

func newTestTimes() *leaseTimes { return newLeaseTimes(tick) }

// pass lets time pass in ticks, as the lease loop does.
func pass(lt *leaseTimes, now *time.Duration, d time.Duration) {
	for ; d > 0; d -= tick {
		*now += min(d, tick)
		lt.advance(*now)
	}
}

func TestLeaseRunsOutAtItsTime(t *testing.T) {
	lt, now := newTestTimes(), time.Duration(0)
	lt.promote(now, false, 0)
	lt.grant(now, 7, 1, time.Second)
	pass(lt, &now, time.Second-time.Millisecond)
	if due := lt.due(now, 10); len(due) != 0 {
		t.Fatalf("due a millisecond early: %v", due)
	}
	pass(lt, &now, time.Millisecond)
	if due := lt.due(now, 10); len(due) != 1 || due[0] != (dueLease{ID: 7, Grant: 1}) {
		t.Fatalf("due: %v", due)
	}
	if due := lt.due(now, 10); len(due) != 0 {
		t.Errorf("due twice: %v", due)
	}
}

func TestClosingLeaseIsNotRenewed(t *testing.T) {
	lt, now := newTestTimes(), time.Duration(0)
	lt.promote(now, false, 0)
	lt.grant(now, 7, 1, time.Second)
	pass(lt, &now, time.Second)
	due := lt.due(now, 10)
	if lt.renew(now, 7, 1) {
		t.Fatal("a closing lease was renewed")
	}
	lt.reopen(due[0])
	if !lt.renew(now, 7, 1) {
		t.Fatal("a lease whose expiry failed was not renewed")
	}
	if left, _ := lt.remaining(now, 7); left != time.Second {
		t.Errorf("%s left after a renewal", left)
	}
}

func TestRenewalOfAnotherLeaseWithTheSameID(t *testing.T) {
	lt, now := newTestTimes(), time.Duration(0)
	lt.promote(now, false, 0)
	lt.grant(now, 7, 1, time.Second)
	lt.remove(7)
	lt.grant(now, 7, 2, time.Second)
	if lt.renew(now, 7, 1) {
		t.Error("renewed by an old grant")
	}
	pass(lt, &now, time.Second)
	lt.due(now, 10)
	lt.reopen(dueLease{ID: 7, Grant: 1})
	if lt.renew(now, 7, 2) {
		t.Error("reopened by an old grant")
	}
}

// A stop of the process, a suspended guest, a stalled machine: leases age by one tick.
func TestAStopIsCredited(t *testing.T) {
	lt, now := newTestTimes(), time.Duration(0)
	lt.promote(now, false, 0)
	lt.grant(now, 7, 1, time.Second)
	now += time.Hour
	if due := lt.due(now, 10); len(due) != 0 {
		t.Fatalf("a stop of an hour ended leases: %v", due)
	}
	if left, _ := lt.remaining(now, 7); left != time.Second-tick {
		t.Errorf("%s left", left)
	}
}

func TestClockNeverGoesBack(t *testing.T) {
	lt := newTestTimes()
	lt.grant(time.Second, 7, 1, time.Second)
	lt.advance(0)
	if left, _ := lt.remaining(0, 7); left != time.Second {
		t.Errorf("%s left after the clock went back", left)
	}
}

func TestLimitOfDue(t *testing.T) {
	lt, now := newTestTimes(), time.Duration(0)
	lt.promote(now, false, 0)
	for id := int64(1); id <= 5; id++ {
		lt.grant(now, id, 1, time.Duration(id)*time.Second)
	}
	pass(lt, &now, 10*time.Second)
	if due := lt.due(now, 2); len(due) != 2 || due[0].ID != 1 || due[1].ID != 2 {
		t.Fatalf("first two: %v", due)
	}
	if lt.wait(now) != 0 {
		t.Error("more is due and wait says otherwise")
	}
	if due := lt.due(now, 10); len(due) != 3 {
		t.Errorf("the rest: %v", due)
	}
}

func TestPromote(t *testing.T) {
	for _, c := range []struct {
		name  string
		full  bool
		floor time.Duration
		aged  time.Duration
		want  time.Duration
	}{
		{"the rest", false, 0, 4 * time.Second, 6 * time.Second},
		{"afresh", true, 0, 4 * time.Second, 10 * time.Second},
		{"at least the floor", false, time.Second, 20 * time.Second, time.Second},
		{"the floor no more than the ttl", false, time.Minute, 20 * time.Second, 10 * time.Second},
	} {
		lt, now := newTestTimes(), time.Duration(0)
		lt.grant(now, 7, 1, 10*time.Second)
		pass(lt, &now, c.aged)
		lt.promote(now, c.full, c.floor)
		if left, _ := lt.remaining(now, 7); left != c.want {
			t.Errorf("%s: %s left, want %s", c.name, left, c.want)
		}
	}
}

func TestRestoreKeepsWhatIsKnown(t *testing.T) {
	lt, now := newTestTimes(), time.Duration(0)
	lt.grant(now, 1, 1, 10*time.Second)
	lt.grant(now, 2, 2, 10*time.Second)
	pass(lt, &now, 4*time.Second)
	lt.restore(now, []grantedLease{
		{ID: 1, Grant: 1, TTL: 10 * time.Second}, {ID: 2, Grant: 9, TTL: 10 * time.Second}, {ID: 3, Grant: 3, TTL: time.Second},
	})
	for id, want := range map[int64]time.Duration{1: 6 * time.Second, 2: 10 * time.Second, 3: time.Second} {
		if left, ok := lt.remaining(now, id); !ok || left != want {
			t.Errorf("lease %d: %s left, want %s", id, left, want)
		}
	}
}

// leaseWorld is a cluster of lease clocks without a network: messages are delivered when the schedule says so.
type leaseWorld struct {
	now      time.Duration
	term     uint64
	leader   int
	members  []*leaseTimes
	seen     []uint64        // the newest term that each member has heard of
	restarts []time.Duration // when each member last restarted
	promised time.Duration   // until when some leader has promised the lease, in real time
	granted  time.Duration
}

const worldTTL = 10 * time.Second

// Never early: whichever leaders come and go, whoever restarts or misses a message, no leader lets a lease end before the
// time that any leader has acknowledged to its holder.
func TestNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "members")
		w := &leaseWorld{leader: -1, members: make([]*leaseTimes, n), seen: make([]uint64, n), restarts: make([]time.Duration, n)}
		for i := range w.members {
			w.members[i] = newTestTimes()
			w.members[i].grant(0, 1, 1, worldTTL)
		}
		w.promised = worldTTL
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step(t)
		}
	})
}

func (w *leaseWorld) step(t *rapid.T) {
	switch rapid.IntRange(0, 5).Draw(t, "step") {
	case 0, 1:
		w.pass(t, time.Duration(rapid.IntRange(1, 30).Draw(t, "ticks"))*tick)
	case 2:
		w.elect(t)
	case 3, 4:
		w.renew(t, rapid.IntRange(0, len(w.members)-1).Draw(t, "leader"))
	case 5: // a restart: the grant is applied again from the log, what was heard is forgotten
		i := rapid.IntRange(0, len(w.members)-1).Draw(t, "restarts")
		w.members[i] = newTestTimes()
		w.members[i].grant(w.now, 1, 1, worldTTL)
		if w.leader == i {
			w.leader = -1
		}
	}
}

func (w *leaseWorld) pass(t *rapid.T, d time.Duration) {
	for range int(d / tick) {
		w.now += tick
		for i, m := range w.members {
			m.advance(w.now)
			if i == w.leader && len(m.due(w.now, 1)) > 0 && w.now < w.promised {
				t.Fatalf("at %s the leader of term %d ends a lease that was promised until %s", w.now, w.term, w.promised)
			}
		}
	}
}

// quorum draws a quorum that has i in it.
func (w *leaseWorld) quorum(t *rapid.T, i int) []int {
	order := rapid.Permutation(indexes(len(w.members))).Draw(t, "order")
	q := []int{i}
	for _, j := range order {
		if j != i && len(q) < len(w.members)/2+1 {
			q = append(q, j)
		}
	}
	return q
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// elect makes a member leader of a new term and has it ask a quorum.
func (w *leaseWorld) elect(t *rapid.T) {
	i := rapid.IntRange(0, len(w.members)-1).Draw(t, "elected")
	w.term++
	w.leader = i
	for _, j := range w.quorum(t, i) {
		w.seen[j] = w.term // they voted, or heard of the term before they answer
		w.members[i].observe(w.now, w.members[j].report(w.now))
	}
	w.members[i].promote(w.now, false, 0)
}

// renew has a member, which may have been deposed unawares, renew the lease for its holder: those of a quorum that it
// reaches take note, and only if none of them has seen a newer term does it acknowledge.
func (w *leaseWorld) renew(t *rapid.T, i int) {
	m := w.members[i]
	if !m.leading {
		return
	}
	asked := w.now
	term := w.seen[i]
	for _, j := range w.quorum(t, i) {
		if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
			return
		}
		w.members[j].observe(w.now, []leaseBound{{ID: 1, Grant: 1, Remaining: worldTTL}})
		if w.seen[j] > term {
			return
		}
	}
	if m.renew(w.now, 1, 1) {
		w.promised = max(w.promised, asked+worldTTL)
	}
}
