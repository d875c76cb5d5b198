package etcdv2_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"quorate/internal/dcsclient"
	"quorate/internal/etcdtest"
	"quorate/raftstore/dcs"
)

// stage lets the requests of several clients pass one at a time, in the order of a script of their letters. A client that has no request left is passed
// over, and one beyond the script's end goes as it comes.
type stage struct {
	mu     sync.Mutex
	next   *sync.Cond
	script []byte
	ended  map[byte]bool
	trace  []string
}

func newStage(script string) *stage {
	s := &stage{script: []byte(script), ended: map[byte]bool{}}
	s.next = sync.NewCond(&s.mu)
	return s
}

func (s *stage) skip() {
	for len(s.script) > 0 && s.ended[s.script[0]] {
		s.script = s.script[1:]
	}
}

// begin waits for a client's turn, and end passes the turn on.
func (s *stage) begin(who byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.skip(); len(s.script) > 0 && s.script[0] != who; s.skip() {
		s.next.Wait()
	}
}

func (s *stage) end(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, what)
	if len(s.script) > 0 {
		s.script = s.script[1:]
	}
	s.next.Broadcast()
}

func (s *stage) leave(who byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[who] = true
	s.next.Broadcast()
}

// through makes each request through a gate a step of its client.
func (s *stage) through(g *gate, who byte) {
	g.set(func(*http.Request) { s.begin(who) }, func(r *http.Request) bool {
		s.end(fmt.Sprintf("%c %s %s", who, r.Method, strings.TrimPrefix(r.URL.Path, "/v2/keys"+keys.Prefix())))
		return true
	})
}

// TestWriteOfAnOldLeader is the heart of the package's rule. A node writes a record as the leader, its term ends, and another takes the lead under the condition
// that there is no such record: whatever the order of the requests, not both are told that they have succeeded, and when the takeover has, the record is not left
// behind.
func TestWriteOfAnOldLeader(t *testing.T) {
	store := etcdtest.StartV2(t)
	gateA, gateB := newGate(t, store), newGate(t, store)
	both := map[string]int{}
	run := func(script string) {
		gateA.set(nil, nil)
		gateB.set(nil, nil)
		a, b := newClient(t, "a", gateA.server.URL), newClient(t, "b", gateB.server.URL)
		leaseA, leaseB := grant(t, a, patience), grant(t, b, patience)
		won := commit(t, a, true, acquire("a", leaseA))
		s := newStage(script)
		s.through(gateA, 'a')
		s.through(gateB, 'b')
		var wrote, took dcsclient.Result
		var errs [2]error
		var all sync.WaitGroup
		all.Go(func() {
			defer s.leave('a')
			wrote, errs[0] = a.Commit(testContext(t), dcs.Txn{
				If: []dcs.Compare{dcs.CreatedAt(keys.Leader(), won.Made)}, Then: []dcs.Op{dcs.Put(keys.Unfenced(), "record", 0)},
			})
		})
		all.Go(func() {
			defer s.leave('b')
			took, errs[1] = b.Commit(testContext(t), acquire("b", leaseB, dcs.Absent(keys.Unfenced())))
		})
		all.Go(func() {
			defer s.leave('x')
			s.begin('x')
			byHand(t, http.MethodDelete, store, keys.Leader(), nil) // as when its time to live ends
			s.end("x the leader key ends")
		})
		all.Wait()
		gateA.set(nil, nil)
		gateB.set(nil, nil)
		_, m := load(t, b)
		_, left := m[keys.Unfenced()]
		leader := string(m[keys.Leader()].Value)
		trace := strings.Join(s.trace, "\n")
		switch {
		case errs[0] != nil || errs[1] != nil:
			t.Fatalf("%s: %v\n%s", script, errs, trace)
		case wrote.Succeeded && took.Succeeded:
			t.Fatalf("%s: the old leader's record and the takeover have both succeeded\n%s", script, trace)
		case wrote.Succeeded != left:
			t.Fatalf("%s: the record was written: %v, and it is there: %v\n%s", script, wrote.Succeeded, left, trace)
		case took.Succeeded != (leader == "b"):
			t.Fatalf("%s: the lead was taken: %v, and the leader is %q\n%s", script, took.Succeeded, leader, trace)
		}
		both[fmt.Sprintf("wrote %v, took %v", wrote.Succeeded, took.Succeeded)]++
		if left {
			byHand(t, http.MethodDelete, store, keys.Unfenced(), nil)
		}
		if leader != "" {
			byHand(t, http.MethodDelete, store, keys.Leader(), nil)
		}
		for _, c := range []interface{ Close() error }{a, b} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, script := range []string{
		"aaxbbbbbbb",   // the write is over before the takeover begins
		"axbbbbbbbaa",  // the write arrives after the takeover
		"axbbabbbba",   // between the leader key and the reading that follows it
		"aaaxbbbb",     // it is complete in time
		"axbbbabbbba",  // just after that reading
		"bxaabbbbbbbb", // the takeover looks too early
	} {
		run(script)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		script := []byte("aaaaxbbbbbbbb")
		rng.Shuffle(len(script), func(i, j int) { script[i], script[j] = script[j], script[i] })
		run(string(script))
	}
	t.Log(both)
	if both["wrote true, took false"] == 0 || both["wrote false, took true"] == 0 {
		t.Error("the scripts do not reach both outcomes")
	}
}

// TestStaleWriteFindsAnotherIndex: a takeover writes what it depended on once more, so that a write of an earlier leader at the former index fails.
func TestStaleWriteFindsAnotherIndex(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		c := newClient(t, "a", store)
		commit(t, c, true, dcs.Txn{Then: []dcs.Op{dcs.Put(keys.Sync(), "s", 0)}})
		_, m := load(t, c)
		at := m[keys.Sync()].ModRevision
		commit(t, c, true, acquire("a", grant(t, c, patience), dcs.Unchanged(keys.Sync(), at)))
		commit(t, c, false, dcs.Txn{If: []dcs.Compare{dcs.Unchanged(keys.Sync(), at)}, Then: []dcs.Op{dcs.Put(keys.Sync(), "stale", 0)}})
		if _, m = load(t, c); string(m[keys.Sync()].Value) != "s" || m[keys.Sync()].ModRevision <= at {
			t.Errorf("%+v, was at %d", m[keys.Sync()], at)
		}
	})
}

// TestSeenBeforeTheAnswer: a view that shows the leader key before its maker has the answer shows it with that one's lease.
func TestSeenBeforeTheAnswer(t *testing.T) {
	store := etcdtest.StartV2(t)
	g := newGate(t, store)
	c := newClient(t, "a", g.server.URL)
	lease := grant(t, c, patience)
	g.set(nil, func(r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/leader") {
			return true
		}
		g.set(nil, nil)
		if _, m := load(t, c); m[keys.Leader()].Lease != lease {
			t.Errorf("%+v, with lease %x", m[keys.Leader()], lease)
		}
		return true
	})
	commit(t, c, true, acquire("a", lease))
}
