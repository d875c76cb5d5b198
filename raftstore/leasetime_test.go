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

// The silence between the loss of a leader and the election of the next one counts, once; a stop of the process counts as no more than that.
func TestSilenceBeforeAnElectionCounts(t *testing.T) {
	for _, c := range []struct{ silence, left time.Duration }{{700 * time.Millisecond, 2300 * time.Millisecond}, {time.Minute, 2 * time.Second}} {
		lt, now := newTestTimes(), time.Duration(0)
		lt.grant(now, 7, 1, 3*time.Second)
		pass(lt, &now, time.Second)
		lt.observe(now, []leaseBound{{ID: 7, Grant: 1, Remaining: 3 * time.Second}})
		now += c.silence
		lt.promote(now, false, 500*time.Millisecond)
		if left, _ := lt.remaining(now, 7); left != c.left {
			t.Errorf("after %s: %s left, it should be %s", c.silence, left, c.left)
		}
		now += time.Minute // of a leader
		if left, _ := lt.remaining(now, 7); left != c.left-tick {
			t.Errorf("a leader that stops: %s left", left)
		}
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

// leaseWorld is a cluster of lease clocks without a network: every message is delivered when the schedule says so, or never.
type leaseWorld struct {
	now     time.Duration
	term    uint64
	members []*leaseTimes
	seen    []uint64 // the newest term that each member has heard of
	led     []uint64 // the newest term that each member was elected in
	ready   []uint64 // the newest term for which each member has collected a quorum's reports
	reports map[int]bool
	elected int // the leader of the newest term
	rounds  []*renewalRound
	// promised is until when some leader has acknowledged the lease to its holder.
	promised time.Duration
}

// renewalRound is a keep-alive on its way: the members that have heard of it and confirmed its leader.
type renewalRound struct {
	leader int
	term   uint64
	asked  time.Duration
	heard  map[int]bool
	over   bool
}

const worldTTL = 10 * time.Second

// Never early: whichever leaders come and go, whoever restarts or misses a message, no leader lets a lease end before the
// time that any leader has acknowledged to its holder.
func TestNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "members")
		w := &leaseWorld{
			members: make([]*leaseTimes, n), seen: make([]uint64, n), led: make([]uint64, n), ready: make([]uint64, n),
			elected: -1, promised: worldTTL,
		}
		for i := range w.members {
			w.members[i] = newTestTimes()
			w.members[i].grant(0, 1, 1, worldTTL)
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			w.step(t)
		}
	})
}

func (w *leaseWorld) draw(t *rapid.T, what string) int {
	return rapid.IntRange(0, len(w.members)-1).Draw(t, what)
}

func (w *leaseWorld) step(t *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1:
		w.pass(t, time.Duration(rapid.IntRange(1, 30).Draw(t, "ticks"))*tick)
	case 2:
		w.elect(t)
	case 3:
		w.hear(w.draw(t, "hears of the term"))
	case 4, 5:
		w.collect(w.draw(t, "reports"))
	case 6:
		w.ask(w.draw(t, "renews"))
	case 7, 8:
		if len(w.rounds) > 0 {
			w.deliver(w.rounds[rapid.IntRange(0, len(w.rounds)-1).Draw(t, "round")], w.draw(t, "hears of the renewal"))
		}
	case 9:
		w.restart(w.draw(t, "restarts"))
	}
}

// leads says whether a member leads as far as it knows itself.
func (w *leaseWorld) leads(i int) bool {
	return w.ready[i] != 0 && w.ready[i] == w.led[i] && w.seen[i] == w.led[i]
}

func (w *leaseWorld) pass(t *rapid.T, d time.Duration) {
	for range int(d / tick) {
		w.now += tick
		for i, m := range w.members {
			m.advance(w.now)
			// An expiry of a deposed leader is never committed; one of the newest leader may be.
			if i == w.elected && w.leads(i) && len(m.due(w.now, 1)) > 0 && w.now < w.promised {
				t.Fatalf("at %s the leader of term %d ends a lease that was promised until %s", w.now, w.term, w.promised)
			}
		}
	}
}

func (w *leaseWorld) majority() int { return len(w.members)/2 + 1 }

// elect makes a member leader of a new term by the votes of a quorum.
func (w *leaseWorld) elect(t *rapid.T) {
	i := w.draw(t, "elected")
	w.term++
	w.elected, w.reports = i, map[int]bool{}
	w.led[i], w.ready[i] = w.term, 0
	w.hear(i)
	votes := 1
	for _, j := range rapid.Permutation(indexes(len(w.members))).Draw(t, "voters") {
		if j != i && votes < w.majority() {
			w.hear(j)
			votes++
		}
	}
	w.collect(i)
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// hear has a member hear of the newest term, which ends its leading an older one.
func (w *leaseWorld) hear(j int) {
	if w.seen[j] == w.term {
		return
	}
	w.seen[j] = w.term
	w.members[j].demote()
}

// collect has a member report to the newest leader, as Store.handleLeases does; a quorum makes it ready.
func (w *leaseWorld) collect(j int) {
	i := w.elected
	if i < 0 || w.seen[i] != w.term || w.ready[i] == w.term || w.seen[j] != w.term {
		return
	}
	w.members[i].observe(w.now, w.members[j].report(w.now))
	w.reports[j] = true
	if len(w.reports) >= w.majority() {
		w.ready[i] = w.term
		w.members[i].promote(w.now, false, 0)
	}
}

// ask starts a renewal on a member that takes itself for the leader.
func (w *leaseWorld) ask(i int) {
	if !w.leads(i) {
		return
	}
	r := &renewalRound{leader: i, term: w.led[i], asked: w.now, heard: map[int]bool{}}
	w.rounds = append(w.rounds, r)
	w.deliver(r, i)
}

// deliver has a member take note of a renewal and confirm its leader, as Store.handleConfirm does; a quorum lets the leader
// acknowledge it.
func (w *leaseWorld) deliver(r *renewalRound, j int) {
	if j != r.leader {
		w.members[j].observe(w.now, []leaseBound{{ID: 1, Grant: 1, Remaining: worldTTL}})
	}
	if w.seen[j] > r.term {
		r.over = true
	}
	r.heard[j] = true
	if r.over || len(r.heard) < w.majority() {
		return
	}
	r.over = true
	if w.leads(r.leader) && w.led[r.leader] == r.term && w.members[r.leader].renew(w.now, 1, 1) {
		w.promised = max(w.promised, r.asked+worldTTL)
	}
}

// restart has a member forget what it heard; it applies the grant again. Its terms are on disk.
func (w *leaseWorld) restart(i int) {
	w.members[i] = newTestTimes()
	w.members[i].advance(w.now)
	w.members[i].grant(w.now, 1, 1, worldTTL)
	w.led[i], w.ready[i] = 0, 0
	if w.elected == i {
		w.elected = -1
	}
	for _, r := range w.rounds {
		if r.leader == i {
			r.over = true
		}
	}
}
