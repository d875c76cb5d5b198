package ha

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"quorate/raftstore/dcs"
)

var totalRuns = flag.Int("ha.snapshots", 20_000, "how many random snapshots TestTotal decides on")

// TestTotal decides on random snapshots, most of which no cluster would ever see: there is no panic (I6), every rule of check holds, and
// what was decided on is not changed by it.
func TestTotal(t *testing.T) {
	n := snapshots()
	codes, acts := map[Code]int{}, map[string]int{}
	for seed := range uint64(n) {
		s := randomSnapshot(seed)
		before := fmt.Sprintf("%+v %v", s, s.Store.Cluster)
		d := decideOrFail(t, seed, s)
		codes[d.Reason.Code]++
		for _, a := range d.Actions {
			acts[fmt.Sprintf("%T", a)]++
		}
		if faults := check(&s, &d); len(faults) > 0 {
			t.Fatalf("snapshot %d: %s\nreason: %s\nactions: %v\n%s", seed, strings.Join(faults, "; "), d.Reason.Text, d.Actions, describe(s))
		}
		if seed%50 == 0 {
			if after := fmt.Sprintf("%+v %v", s, s.Store.Cluster); after != before {
				t.Fatalf("snapshot %d: Decide changed what it decided on:\n%s\n%s", seed, before, after)
			}
			if again := Decide(s); !reflect.DeepEqual(again, d) {
				t.Fatalf("snapshot %d: decided again, it is another decision:\n%+v\n%+v", seed, d, again)
			}
		}
	}
	if !testing.Short() {
		everything(t, codes, acts)
	}
}

func snapshots() int {
	if testing.Short() {
		return *totalRuns / 4
	}
	return *totalRuns
}

// everything fails when the random snapshots leave a reason or an action out: then they say nothing about it.
func everything(t *testing.T, codes map[Code]int, acts map[string]int) {
	for _, c := range []Code{CodeNoStore, CodeNoLease, CodeLeading, CodePromoting, CodeFollowing, CodeWaiting, CodeRacing, CodeBootstrap, CodeDemoting,
		CodeFenced, CodeRecovering, CodeFailingOver, CodeHandover, CodeRejoining, CodeCloning, CodePaused, CodeStopping, CodeFatal} {
		if codes[c] == 0 {
			t.Errorf("no snapshot gives the reason %s", c)
		}
	}
	for _, a := range []Action{GrantLease{}, RenewLease{}, AdoptLease{}, Commit{}, ArmFence{}, Unfence{}, FenceNow{}, Initdb{}, StartPrimary{}, StartStandby{}, Promote{}, ReadTail{},
		Checkpoint{}, Stop{}, Follow{}, Pledge{}, CheckWAL{}, Rewind{}, Clone{}, Restart{}, SetNames{}, CopySlots{}, SetSlots{}, PrePromote{}, Discard{}, AskPeers{}, AskFailsafe{}, Exit{}} {
		if acts[fmt.Sprintf("%T", a)] == 0 {
			t.Errorf("no snapshot leads to %T", a)
		}
	}
}

func decideOrFail(t *testing.T, seed uint64, s Snapshot) Decision {
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("snapshot %d: %v (I6)\n%s", seed, r, describe(s))
			panic(r)
		}
	}()
	return Decide(s)
}

func describe(s Snapshot) string {
	out := fmt.Sprintf("pg %+v\nfence %+v\nlease %+v\nmem %+v\nbusy %v asked %+v pause %t\n", s.PG, s.Fence, s.Lease, s.Mem, s.Busy, s.Asked, s.Set.Pause)
	if c := s.Store.Cluster; c != nil {
		out += fmt.Sprintf("leader %+v unfenced %+v released %+v cluster %+v\n", c.Leader, c.Unfenced, c.Released, *c)
	}
	return out
}

// TestCommitsSettle applies what is decided about the lead to the store: what went through is not asked for again, and after a few
// changes there is nothing left to change (I5). How PostgreSQL follows is the simulator's part.
func TestCommitsSettle(t *testing.T) {
	const rounds = 12
	for seed := range uint64(snapshots() / 5) {
		w := randomWorld(seed)
		if w.kvs == nil {
			continue
		}
		s := w.snapshot()
		var whats []string
		for range rounds {
			d := decideOrFail(t, seed, s)
			c, ok := leadCommit(d)
			if !ok {
				whats = nil
				break
			}
			whats = append(whats, c.What+" ("+d.Reason.Text+")")
			w.s.Mem = d.Mem
			w.apply(c)
			s = w.snapshot()
		}
		if whats != nil {
			t.Fatalf("snapshot %d: still changing the store after %d changes: %s\n%s", seed, rounds, strings.Join(whats, "; "), describe(s))
		}
	}
}

func leadCommit(d Decision) (Commit, bool) {
	for _, a := range d.Actions {
		if c, ok := a.(Commit); ok && c.In == LaneCommit {
			return c, true
		}
	}
	return Commit{}, false
}

// apply carries a commit out that was decided on the newest revision: its compares must hold.
func (w *world) apply(c Commit) {
	w.rev++
	for _, op := range c.Txn.Then {
		kv, ok := w.kvs[op.Key]
		if op.Delete {
			delete(w.kvs, op.Key)
			continue
		}
		if !ok {
			kv = dcs.KV{Key: op.Key, CreateRevision: w.rev}
		}
		kv.Value, kv.ModRevision, kv.Lease = []byte(op.Value), w.rev, op.Lease
		w.kvs[op.Key] = kv
	}
	if c.What == AcquireLead {
		w.s.Mem.Acquired = term(w.rev)
	}
}

// pick is one of some values.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }
