package syncset

import (
	"fmt"
	"math/bits"
	"testing"
)

// settle lets the planner work while nothing else changes. It returns the last step: nil, or a Wait for standbys that do not come.
func (w *world) settle(p planner) (Step, error) {
	const bound = 12
	for range bound {
		w.takeEffect()
		step, why := p.next(w.state())
		if why == "" {
			return nil, fmt.Errorf("no reason for %v in %s", step, w)
		}
		if _, wait := step.(Wait); step == nil || wait && !w.catchUpAll() {
			return step, nil
		}
		w.take(step)
	}
	return nil, fmt.Errorf("still at it after %d steps: %s", bound, w)
}

func (w *world) catchUpAll() (any bool) {
	for i := 1; i < w.n; i++ {
		if w.nodes[i] >= up && !w.caught.has(i) {
			w.catchUp(i)
			any = true
		}
	}
	return any
}

// ideal says in the plainest terms what should be in the end, for worlds in which no standby is cut off.
func (w *world) ideal(last Step) error {
	var good, refused, silent mask
	for i := 1; i < w.n; i++ {
		switch w.nodes[i] {
		case up:
			good |= 1 << i
		case nosync:
			refused |= 1 << i
		case still:
			silent |= 1 << i
		case cut:
			return nil
		}
	}
	n := bits.OnesCount8(uint8(good))
	if silent != 0 && (w.mode == Quorum || w.mode == On && n < int(w.count)) {
		return nil // what is in the key may stay there
	}
	k := min(n, int(w.count))
	switch {
	case w.mode == Off:
		return w.expect(last == nil && !w.key.there && w.names == list{}, "no key and no names")
	case n == 0 && w.strict:
		return w.expect((w.names.block || w.names.of != 0) && w.names.of&refused == 0, "commits wait, not for a nosync standby")
	case n == 0:
		return w.expect(last == nil && w.key == skey{there: true} && w.names == list{}, "only the leader")
	case w.mode == On:
		v := w.key.voters
		want := w.names == list{num: uint8(k), of: v} && v&^good == 0 && bits.OnesCount8(uint8(v)) == k && w.key.quorum == 0
		return w.expect(last == nil && want, "as many synchronous standbys as wanted")
	}
	want := w.names == list{any: true, num: uint8(k), of: good} && w.key == skey{there: true, quorum: uint8(n - k), voters: good}
	return w.expect(last == nil && want, "all of them, with the quorum")
}

func (w *world) expect(ok bool, what string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("it came to rest without: %s; %s", what, w)
}

// settles is for each world of a search.
func settles(t *testing.T, p planner) func(world) {
	return func(w world) {
		from := w
		last, err := w.settle(p)
		if err == nil {
			err = w.check()
		}
		if err == nil {
			err = w.ideal(last)
		}
		if err != nil {
			t.Fatalf("%v\nfrom %s", err, &from)
		}
	}
}
