package v2keys

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one replica with its monotonic clock.
type node struct {
	testing.TB
	*Keys
	mono time.Duration
}

func newNode(t testing.TB) *node { return &node{TB: t, Keys: New()} }

// lead stamps and applies a request, here and on the followers, and returns what became of it here.
func (n *node) lead(r Request, followers ...*node) Result {
	n.Helper()
	cmd, err := Encode(r)
	if err != nil {
		n.Fatal(err)
	}
	if cmd, err = n.Stamp(cmd, n.mono); err != nil {
		n.Fatal(err)
	}
	return n.applyEverywhere(cmd, followers)
}

func (n *node) applyEverywhere(cmd []byte, followers []*node) Result {
	n.Helper()
	for _, f := range followers {
		if _, err := f.Apply(cmd, f.mono); err != nil {
			n.Fatal(err)
		}
	}
	res, err := n.Apply(cmd, n.mono)
	if err != nil {
		n.Fatal(err)
	}
	return res
}

// pass lets time pass on a leader, in ticks.
func (n *node) pass(d time.Duration) {
	const tick = 500 * time.Millisecond
	for ; d > 0; d -= tick {
		n.mono += min(d, tick)
		n.Tick(n.mono)
	}
}

// expire proposes and applies an expiry if one is due.
func (n *node) expire(followers ...*node) bool {
	n.Helper()
	cmd, due := n.Expire(n.mono)
	if due {
		n.applyEverywhere(cmd, followers)
	}
	return due
}

func (n *node) has(path string) bool {
	_, err := n.Get(path, false, false)
	return err == nil
}

func seconds(s int) *time.Duration {
	d := time.Duration(s) * time.Second
	return &d
}

func yes(b bool) *bool { return &b }

// Which condition makes a PUT or DELETE which action, and what it is refused with.
func TestActions(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		r      Request
		action string
		code   int
	}{
		{Request{Method: Put, Path: "/a", Value: "1"}, v2store.Set, 0},
		{Request{Method: Put, Path: "/a", Value: "2", PrevExist: yes(false)}, "", v2error.EcodeNodeExist},
		{Request{Method: Put, Path: "/b", Value: "1", PrevExist: yes(false)}, v2store.Create, 0},
		{Request{Method: Put, Path: "/a", Value: "2", PrevExist: yes(true)}, v2store.Update, 0},
		{Request{Method: Put, Path: "/c", Value: "2", PrevExist: yes(true)}, "", v2error.EcodeKeyNotFound},
		{Request{Method: Put, Path: "/a", Value: "3", PrevValue: "2"}, v2store.CompareAndSwap, 0},
		{Request{Method: Put, Path: "/a", Value: "3", PrevValue: "2"}, "", v2error.EcodeTestFailed},
		{Request{Method: Put, Path: "/a", Value: "4", PrevIndex: 1}, "", v2error.EcodeTestFailed},
		{Request{Method: Put, Path: "/a", Value: "4", PrevIndex: 4, PrevExist: yes(true)}, v2store.CompareAndSwap, 0},
		{Request{Method: Put, Path: "/a/b", Value: "1"}, "", v2error.EcodeNotDir},
		{Request{Method: Put, Path: "/d", Dir: true}, v2store.Set, 0},
		{Request{Method: Post, Path: "/d", Value: "1"}, v2store.Create, 0},
		{Request{Method: Delete, Path: "/d"}, "", v2error.EcodeNotFile},
		{Request{Method: Delete, Path: "/d", Dir: true}, "", v2error.EcodeDirNotEmpty},
		{Request{Method: Delete, Path: "/d", Recursive: true}, v2store.Delete, 0},
		{Request{Method: Delete, Path: "/a", PrevValue: "x"}, "", v2error.EcodeTestFailed},
		{Request{Method: Delete, Path: "/a", PrevIndex: 5}, v2store.CompareAndDelete, 0},
		{Request{Method: Put, Path: "/", Value: "1"}, "", v2error.EcodeRootROnly},
	} {
		res := n.lead(c.r)
		switch {
		case c.code != 0 && (res.Err == nil || res.Err.ErrorCode != c.code):
			t.Errorf("%+v: %+v, want error %d", c.r, res, c.code)
		case c.code == 0 && (res.Event == nil || res.Event.Action != c.action):
			t.Errorf("%+v: %+v, want %s", c.r, res, c.action)
		}
	}
}

// A key goes when its time is over, not before, on every replica at once, and only because the leader says so.
func TestExpiry(t *testing.T) {
	leader, follower := newNode(t), newNode(t)
	leader.lead(Request{Method: Put, Path: "/k", Value: "v", TTL: seconds(30)}, follower)
	leader.pass(29900 * time.Millisecond)
	if leader.expire(follower) {
		t.Error("expired early")
	}
	leader.pass(time.Second)
	if !leader.expire(follower) || leader.has("/k") || follower.has("/k") {
		t.Error("did not expire")
	}
	if leader.Index() != follower.Index() || leader.Index() != 2 {
		t.Errorf("indexes %d and %d, want 2", leader.Index(), follower.Index())
	}
}

// A refresh moves the end and is no change that watchers see.
func TestRefresh(t *testing.T) {
	n := newNode(t)
	n.lead(Request{Method: Put, Path: "/k", Value: "v", TTL: seconds(10)})
	n.pass(8 * time.Second)
	if r := n.lead(Request{Method: Put, Path: "/k", TTL: seconds(10), Refresh: true, PrevExist: yes(true)}); r.Event == nil || !r.Event.Refresh {
		t.Fatalf("refresh: %+v", r)
	}
	n.pass(8 * time.Second)
	n.expire() // of the time that the refresh left behind
	if e, err := n.Get("/k", false, false); err != nil || *e.Node.Value != "v" {
		t.Fatalf("after the refresh: %v, %v", e, err)
	}
	n.pass(3 * time.Second)
	n.expire()
	if n.has("/k") {
		t.Error("did not expire")
	}
}

// A leader that was stopped for a minute does not make keys leap to their end.
func TestStoppedLeader(t *testing.T) {
	n := newNode(t)
	n.lead(Request{Method: Put, Path: "/k", Value: "v", TTL: seconds(10)})
	n.mono += time.Minute
	n.Tick(n.mono)
	if n.expire() {
		t.Error("a stop of a minute counted as more than one step")
	}
}

// A new leader goes on from what it has applied: late by the time without a leader, never early.
func TestNewLeaderIsNeverEarly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := []*node{newNode(t), newNode(t), newNode(t)}
		leader := 0
		var real time.Duration // since the write
		const ttl = 10 * time.Second
		nodes[0].lead(Request{Method: Put, Path: "/k", Value: "v", TTL: seconds(10)}, nodes[1:]...)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			d := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond
			real += d
			for _, n := range nodes {
				n.mono += d
			}
			switch rapid.IntRange(0, 3).Draw(rt, "event") {
			case 0:
				leader = rapid.IntRange(0, 2).Draw(rt, "leader")
			case 1:
				l := nodes[leader]
				l.lead(Request{Method: Put, Path: "/other", Value: "v"}, others(nodes, leader)...)
			default:
				nodes[leader].Tick(nodes[leader].mono)
				nodes[leader].expire(others(nodes, leader)...)
			}
			if !nodes[0].has("/k") && real < ttl {
				rt.Fatalf("expired after %v", real)
			}
		}
		for _, n := range nodes[1:] {
			if n.has("/k") != nodes[0].has("/k") || n.Index() != nodes[0].Index() {
				rt.Fatal("replicas differ")
			}
		}
	})
}

func others(nodes []*node, i int) []*node {
	var o []*node
	for j, n := range nodes {
		if j != i {
			o = append(o, n)
		}
	}
	return o
}

// What is saved and recovered goes on as if nothing had happened, and nothing of the state before is left.
func TestSaveAndRecover(t *testing.T) {
	n := newNode(t)
	for i := range 5 {
		n.lead(Request{Method: Put, Path: fmt.Sprintf("/d/k%d", i), Value: "v", TTL: seconds(10 * (i + 1))})
	}
	n.lead(Request{Method: Put, Path: "/for/ever", Value: "v"})
	n.pass(5 * time.Second)
	n.lead(Request{Method: Put, Path: "/now", Value: "v"})
	saved, err := n.Save()
	if err != nil {
		t.Fatal(err)
	}
	m := newNode(t)
	m.lead(Request{Method: Put, Path: "/stale", Value: "v"})
	w, err := m.Watch("/", true, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Remove()
	if err := m.Recover(saved, m.mono); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-w.EventChan(); ok {
		t.Error("the watch outlived the state")
	}
	if m.has("/stale") || m.Index() != n.Index() {
		t.Errorf("index %d, want %d; stale key there: %v", m.Index(), n.Index(), m.has("/stale"))
	}
	if old, err := m.Watch("/d/k1", false, false, 1); err != nil {
		t.Errorf("a watch from before the snapshot: %v", err)
	} else {
		if e := <-old.EventChan(); e.Node.Key != "/d/k1" {
			t.Errorf("got %v", e.Node)
		}
		old.Remove()
	}
	for _, x := range []*node{n, m} {
		x.pass(6 * time.Second) // 11 s after the writes
		if !x.expire() || x.has("/d/k0") || !x.has("/d/k1") || !x.has("/for/ever") {
			t.Errorf("after 11 s: k0 %v, k1 %v, for ever %v", x.has("/d/k0"), x.has("/d/k1"), x.has("/for/ever"))
		}
	}
	if err := m.Recover([]byte("{"), 0); err == nil || !m.has("/for/ever") {
		t.Error("a broken state was taken, or took something with it")
	}
}

// A watcher that nobody reads ends, instead of staying silent for ever.
func TestOverrunWatcherEnds(t *testing.T) {
	n := newNode(t)
	w, err := n.Watch("/", true, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Remove()
	for range 300 {
		n.lead(Request{Method: Put, Path: "/k", Value: "v"})
	}
	read := 0
	for range w.EventChan() {
		read++
	}
	if read >= 300 {
		t.Errorf("read %d events", read)
	}
}

func TestResultTravels(t *testing.T) {
	n := newNode(t)
	for _, r := range []Request{
		{Method: Put, Path: "/k", Value: "v", TTL: seconds(5)}, {Method: Put, Path: "/k", Value: "v", PrevValue: "x"}, {Method: Delete, Path: "/k"},
	} {
		want := n.lead(r)
		b, err := EncodeResult(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeResult(b)
		if err != nil {
			t.Fatal(err)
		}
		if w, g := show(want), show(got); w != g {
			t.Errorf("sent %s, came %s", w, g)
		}
	}
}

func show(r Result) string {
	var index uint64
	if r.Event != nil {
		index = r.Event.EtcdIndex
	}
	b, _ := json.Marshal([]any{r.Event, r.Err, index})
	return string(b)
}

// FuzzApply: no bytes in the log break the state machine.
func FuzzApply(f *testing.F) {
	for _, r := range []Request{{Method: Put, Path: "/k", Value: "v", TTL: seconds(1)}, {Method: Post, Path: "/d"}, {Method: expire}} {
		b, err := Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"m":"PUT","p":"../..","pe":true,"f":true}`))
	f.Fuzz(func(t *testing.T, cmd []byte) {
		k := New()
		_, _ = k.Apply(cmd, 0)
		if _, err := k.Save(); err != nil {
			t.Error(err)
		}
	})
}
