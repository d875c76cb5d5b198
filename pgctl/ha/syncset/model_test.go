package syncset

import (
	"fmt"
	"math/bits"

	"quorate/pgctl/postgres"
)

// The model is a second, naive view of the same matter. It knows a cluster of up to five nodes as bit masks, the leader being
// node 0, and remembers for the commits that were acknowledged which nodes hold them. Commits are acknowledged all the time, by
// every set of standbys that the names in effect allow.

const maxNodes = 5

type mask uint8

func (m mask) has(i int) bool { return m>>i&1 == 1 }

// nodeState is what the leader sees of a standby.
type nodeState uint8

const (
	dead   nodeState = iota
	cut              // alive, but not connected
	still            // the same for a while
	up               // streams
	nosync           // streams, and its tag forbids it
)

// list is a synchronous_standby_names.
type list struct {
	any, block bool
	num        uint8
	of         mask
}

// skey is a sync key.
type skey struct {
	there  bool
	leader uint8
	quorum uint8
	voters mask
}

// world is one state of the model. It is comparable, so that a search can tell which states it has seen.
type world struct {
	n      int
	mode   Mode
	strict bool
	count  uint8
	nodes  [maxNodes]nodeState
	names  list // in effect
	asked  list
	former [2]list // names that some process may still work by
	unsure uint8   // how many of former there are; with any, the leader knows no Since
	key    skey
	doubt  bool // a write of the key had no answer
	late   skey // what that write would make of the key, if it still arrives
	isLate bool
	caught mask  // has all commits from before the names in effect
	held   masks // some acknowledged commit is on these nodes and on no others
}

// masks is a set of masks.
type masks uint32

// each calls f with every mask of s.
func (s masks) each(f func(mask)) {
	for ; s != 0; s &= s - 1 {
		f(mask(bits.TrailingZeros32(uint32(s))))
	}
}

// change is the set of f of every mask.
func (s masks) change(f func(mask) mask) (out masks) {
	s.each(func(m mask) { out |= 1 << f(m) })
	return out
}

func nodeName(i int) string { return string(rune('a' + i)) }

func nodeIndex(name string) int { return int(name[0] - 'a') }

func (m mask) names() []string {
	var out []string
	for i := range maxNodes {
		if m.has(i) {
			out = append(out, nodeName(i))
		}
	}
	return out
}

func maskOf(names []string) (m mask) {
	for _, n := range names {
		m |= 1 << nodeIndex(n)
	}
	return m
}

func (l list) syncNames() Names {
	switch {
	case l.block:
		return Names{Method: postgres.SyncFirst, Num: 1, Names: []string{Placeholder}}
	case l.of == 0:
		return Names{}
	case l.any:
		return Names{Method: postgres.SyncAny, Num: int(l.num), Names: l.of.names()}
	}
	return Names{Method: postgres.SyncFirst, Num: int(l.num), Names: l.of.names()}
}

func listOf(n Names) list {
	if len(n.Names) == 1 && n.Names[0] == Placeholder {
		return list{block: true}
	}
	if n.IsZero() {
		return list{}
	}
	return list{any: n.Method == postgres.SyncAny, num: uint8(n.Num), of: maskOf(n.Names)}
}

func keyOf(k Key) skey {
	return skey{there: true, leader: uint8(nodeIndex(k.Leader)), quorum: uint8(k.Quorum), voters: maskOf(k.Voters)}
}

func (k skey) key() Key {
	return Key{Leader: nodeName(int(k.leader)), Quorum: int(k.quorum), Voters: k.voters.names()}
}

// state is what the leader sees.
func (w *world) state() State {
	s := State{
		Mode: w.mode, Strict: w.strict, NodeCount: int(w.count), Leader: "a",
		InEffect: w.names.syncNames(), Asked: w.asked.syncNames(),
		KeyExists: w.key.there, KeyInDoubt: w.doubt,
	}
	if w.unsure == 0 {
		s.Since = 1
	}
	if w.key.there {
		s.Key = w.key.key()
	}
	for i := 1; i < w.n; i++ {
		s.Standbys = append(s.Standbys, w.standby(i))
	}
	return s
}

func (w *world) standby(i int) Standby {
	s := Standby{Name: nodeName(i), Alive: w.nodes[i] != dead, Streaming: w.nodes[i] >= up, SyncPriority: 1}
	if w.nodes[i] == nosync {
		s.SyncPriority = 0
	}
	s.Quiet = w.nodes[i] == still
	if !s.Streaming {
		return s
	}
	s.SyncState = "async"
	if w.names.of.has(i) && !w.names.block {
		s.SyncState = "sync"
		if w.names.any {
			s.SyncState = "quorum"
		}
	}
	if w.caught.has(i) {
		s.FlushLSN = 1
	}
	return s
}

// commit lets commits be acknowledged by every set of standbys that is just large enough.
func (w *world) commit() {
	w.commitBy(w.names)
	for _, l := range w.former[:w.unsure] {
		w.commitBy(l)
	}
	w.forget()
}

func (w *world) commitBy(l list) {
	for set := range mask(1) << w.n {
		if set.has(0) || l.block || set&^l.of != 0 {
			continue
		}
		if l.of == 0 || bits.OnesCount8(uint8(set)) == int(l.num) {
			w.held |= 1 << (set | 1)
		}
	}
}

// forget drops the commits that are on more nodes than another: whoever has the other has these.
func (w *world) forget() {
	all := w.held
	all.each(func(h mask) {
		all.each(func(less mask) {
			if less != h && less&^h == 0 {
				w.held &^= 1 << h
			}
		})
	})
}

// elects calls f with every smallest set of nodes that can elect.
func (w *world) elects(f func(mask)) {
	if !w.key.there {
		return
	}
	f(1 << w.key.leader)
	for set := range mask(1) << w.n {
		if set&^w.key.voters == 0 && bits.OnesCount8(uint8(set)) == int(w.key.quorum)+1 {
			f(set)
		}
	}
}

// check is the invariant.
func (w *world) check() (err error) {
	w.elects(func(set mask) {
		w.held.each(func(h mask) {
			if h&set == 0 {
				err = fmt.Errorf("a commit is on %v only, and %v can elect", h.names(), set.names())
			}
		})
	})
	return err
}

// catchUp gives node i everything there is.
func (w *world) catchUp(i int) {
	w.held = w.held.change(func(h mask) mask { return h | 1<<i })
	w.caught |= 1 << i
	w.commit()
}

// takeEffect is PostgreSQL's reload, in all processes.
func (w *world) takeEffect() {
	if w.names != w.asked || w.unsure > 0 {
		w.names, w.former, w.unsure, w.caught = w.asked, [2]list{}, 0, 0
		w.commit()
	}
}

// showEffect is PostgreSQL's reload in those processes that one can ask.
func (w *world) showEffect() {
	if w.names != w.asked {
		w.former[w.unsure] = w.names
		w.names, w.caught = w.asked, 0
		w.unsure++
		w.commit()
	}
}

func (w *world) setKey(k skey) { w.key, w.isLate, w.late, w.doubt = k, false, skey{}, false }

// takeOver makes node x the leader. The set that elected it, 0 if an operator did, is behind it.
func (w *world) takeOver(x int, set mask, old nodeState, p planner) {
	kept := masks(0)
	w.held.each(func(h mask) {
		if h&set != 0 || h.has(x) {
			kept |= 1 << (h | 1<<x)
		}
	})
	w.held = kept
	w.nodes[0] = old
	w.swap(x)
	w.nodes[0] = up
	s := w.state()
	s.InEffect, s.Asked, s.Since = Names{}, Names{}, 0
	for i := range s.Standbys {
		s.Standbys[i].Alive = s.Standbys[i].Streaming
	}
	t, _ := p.initial(s)
	w.names, w.former, w.unsure, w.caught = listOf(t.Names), [2]list{}, 0, 0
	w.asked = w.names
	w.setKey(skey{})
	if t.Key != nil {
		w.setKey(keyOf(*t.Key))
	}
	for i := range w.nodes {
		if w.nodes[i] == up && i != 0 {
			w.nodes[i] = cut
		}
	}
	w.commit()
}

// swap exchanges the numbers of node x and of node 0.
func (w *world) swap(x int) {
	sw := func(m mask) mask {
		a, b := m&1, m>>x&1
		return m&^1&^(1<<x) | b | a<<x
	}
	w.nodes[0], w.nodes[x] = w.nodes[x], w.nodes[0]
	w.key.voters = sw(w.key.voters)
	w.key.leader = uint8(bits.TrailingZeros8(uint8(sw(1 << w.key.leader))))
	w.held = w.held.change(sw)
}

// planner is what is tested: the package, or one of its mutants.
type planner struct {
	next    func(State) (Step, string)
	initial func(State) (Takeover, string)
}

func (w *world) String() string {
	var held []string
	w.held.each(func(h mask) { held = append(held, fmt.Sprint(h.names())) })
	return fmt.Sprintf("mode %s strict %t count %d nodes %v names '%s' asked '%s' key %v doubt %t late %t %v caught %v held %v",
		w.mode, w.strict, w.count, w.nodes[1:w.n], w.names.syncNames(), w.asked.syncNames(), w.key, w.doubt, w.isLate, w.late, w.caught.names(), held)
}
