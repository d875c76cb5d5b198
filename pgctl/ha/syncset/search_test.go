package syncset

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
)

// scope bounds what may happen in a search.
type scope struct {
	nodes     int
	states    []nodeState
	modes     []Mode
	stricts   []bool
	counts    []uint8
	lateness  bool // steps may take effect late or never
	former    int  // how many former lists of names may still be at work
	elections bool
}

// moves are the worlds that may follow w.
func (sc scope) moves(w world, p planner) []world {
	var out []world
	then := func(change func(*world)) {
		next := w
		change(&next)
		out = append(out, next)
	}
	sc.stepMoves(w, p, then)
	sc.nodeMoves(w, then)
	sc.configMoves(w, then)
	if sc.elections {
		sc.electionMoves(w, p, then)
	}
	return out
}

func (sc scope) stepMoves(w world, p planner, then func(func(*world))) {
	step, _ := p.next(w.state())
	then(func(w *world) { w.take(step) })
	if !sc.lateness {
		return
	}
	then((*world).takeEffect)
	if int(w.unsure) < sc.former {
		then((*world).showEffect)
	}
	if w.isLate {
		then(func(w *world) { w.key, w.isLate, w.late = w.late, false, skey{} })
	}
	switch s := step.(type) {
	case SetNames:
		then(func(w *world) { w.asked = listOf(s.Names) })
	case WriteKey:
		then(func(w *world) { w.doubt, w.isLate, w.late = true, true, keyOf(s.Key) })
	case DeleteKey:
		then(func(w *world) { w.doubt, w.isLate, w.late = true, true, skey{} })
	}
}

// take carries a step out.
func (w *world) take(step Step) {
	switch s := step.(type) {
	case SetNames:
		w.asked = listOf(s.Names)
		w.takeEffect()
	case WriteKey:
		w.setKey(keyOf(s.Key))
	case DeleteKey:
		w.setKey(skey{})
	}
}

func (sc scope) nodeMoves(w world, then func(func(*world))) {
	for i := 1; i < w.n; i++ {
		for _, st := range sc.states {
			then(func(w *world) { w.nodes[i] = st })
		}
		if w.nodes[i] >= up && !w.caught.has(i) {
			then(func(w *world) { w.catchUp(i) })
		}
	}
}

func (sc scope) configMoves(w world, then func(func(*world))) {
	for _, m := range sc.modes {
		then(func(w *world) { w.mode = m })
	}
	for _, s := range sc.stricts {
		then(func(w *world) { w.strict = s })
	}
	for _, c := range sc.counts {
		then(func(w *world) { w.count = c })
	}
}

func (sc scope) electionMoves(w world, p planner, then func(func(*world))) {
	for x := 1; x < w.n; x++ {
		if w.nodes[x] == dead {
			continue
		}
		for _, old := range sc.states {
			if w.mode == Off || !w.key.there {
				then(func(w *world) { w.takeOver(x, 0, old, p) })
				continue
			}
			w.elects(func(set mask) {
				if set != 1<<w.key.leader {
					then(func(w *world) { w.takeOver(x, set, old, p) })
				}
			})
		}
	}
}

// start is a cluster that has just been founded.
func (sc scope) start() world {
	w := world{n: sc.nodes, mode: sc.modes[0], strict: sc.stricts[0], count: sc.counts[0]}
	for i := 1; i < w.n; i++ {
		w.nodes[i] = up
	}
	w.commit()
	return w
}

// search visits every world that can be reached and returns the first that breaks the invariant, with the way there.
func (sc scope) search(p planner, visit func(world)) (int, error) {
	first := sc.start()
	from := map[world]world{first: first}
	for todo := []world{first}; len(todo) > 0; {
		w := todo[0]
		todo = todo[1:]
		if err := w.check(); err != nil {
			return len(from), fmt.Errorf("%w\n%s", err, path(from, w))
		}
		if visit != nil {
			visit(w)
		}
		for _, next := range sc.moves(w, p) {
			if _, seen := from[next]; !seen {
				from[next] = w
				todo = append(todo, next)
			}
		}
	}
	return len(from), nil
}

func path(from map[world]world, w world) string {
	out := w.String()
	for from[w] != w {
		w = from[w]
		out = w.String() + "\n" + out
	}
	return out
}

// walk takes a random way.
func (sc scope) walk(p planner, seed uint64, length int, visit func(world)) error {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := sc.start()
	for i := range length {
		if err := w.check(); err != nil {
			return fmt.Errorf("seed %d, move %d: %w\n%s", seed, i, err, w.String())
		}
		if visit != nil {
			visit(w)
		}
		moves := sc.moves(w, p)
		w = moves[rnd.IntN(len(moves))]
		if rnd.IntN(2) == 0 { // the planner gets its turn often
			step, _ := p.next(w.state())
			w.take(step)
		}
	}
	return nil
}

var (
	late3 = scope{
		nodes: 3, states: []nodeState{dead, up}, modes: []Mode{Off, On, Quorum},
		stricts: []bool{false}, counts: []uint8{1}, lateness: true, former: 1,
	}
	elect3 = scope{
		nodes: 3, states: []nodeState{dead, up}, modes: []Mode{On, Quorum},
		stricts: []bool{false}, counts: []uint8{2, 1}, elections: true,
	}
	elect4 = scope{
		nodes: 4, states: []nodeState{dead, up}, modes: []Mode{On, Quorum},
		stricts: []bool{false}, counts: []uint8{2}, elections: true,
	}
	settings3 = scope{
		nodes: 3, states: []nodeState{dead, cut, still, up, nosync}, modes: []Mode{On, Quorum, Off},
		stricts: []bool{true, false}, counts: []uint8{1, 2}, elections: true,
	}
	full3 = scope{
		nodes: 3, states: []nodeState{dead, cut, still, up, nosync}, modes: []Mode{Off, On, Quorum},
		stricts: []bool{false, true}, counts: []uint8{1, 2}, lateness: true, elections: true,
	}
	former3 = scope{
		nodes: 3, states: []nodeState{dead, up}, modes: []Mode{Off, On, Quorum},
		stricts: []bool{false}, counts: []uint8{1}, lateness: true, former: 2, elections: true,
	}
	full4 = scope{
		nodes: 4, states: []nodeState{dead, cut, up}, modes: []Mode{On, Quorum, Off},
		stricts: []bool{false}, counts: []uint8{1, 2}, elections: true,
	}
	full5 = scope{
		nodes: 5, states: []nodeState{dead, cut, still, up, up, nosync}, modes: []Mode{Quorum, On, Quorum, On, Off},
		stricts: []bool{false, true}, counts: []uint8{1, 2, 3}, lateness: true, former: 2, elections: true,
	}
)

var itself = planner{Next, InitialNames}

// full makes the searches cover every combination of three nodes (minutes).
var full = flag.Bool("full", false, "search all worlds of three and four nodes")

// TestEveryWorld goes through every world that can be reached, interrupted and late steps and elections included, and from each
// of them to where the planner comes to rest.
func TestEveryWorld(t *testing.T) {
	scopes := map[string]scope{"late3": late3, "elect4": elect4, "settings3": settings3}
	if testing.Short() {
		scopes = map[string]scope{"elect4": elect4}
	}
	if *full {
		scopes = map[string]scope{"full3": full3, "former3": former3, "full4": full4}
	}
	for name, sc := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			visit := settles(t, itself)
			if sc.lateness && !*full {
				visit = nil // the walks do it for those
			}
			n, err := sc.search(itself, visit)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d worlds", n)
		})
	}
}

func TestRandomWalksOfFiveNodes(t *testing.T) {
	for seed := range uint64(100) {
		if err := full5.walk(itself, seed, 200, settles(t, itself)); err != nil {
			t.Fatal(err)
		}
	}
}
