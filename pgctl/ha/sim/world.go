package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"quorate/pgctl/ha"
)

// Options is what a run is made of.
type Options struct {
	Seed   uint64
	Hosts  int
	Sync   string        // synchronous_mode: off, on or quorum
	Strict bool          // synchronous_mode_strict
	Safe   bool          // failsafe_mode
	Pauses bool          // an operator pauses the cluster now and again
	Faulty time.Duration // how long faults go on
	Quiet  time.Duration // how long the cluster then has to come to rest
	// Decide replaces ha.Decide: with a bug seeded in it the run must find a violation.
	Decide func(ha.Snapshot) ha.Decision
	Trace  bool
}

// World is one run.
type World struct {
	opt   Options
	rng   *rand.Rand
	now   time.Duration
	queue events
	seq   int
	store *store
	hosts []*host
	cuts  map[[2]string]bool // pairs of hosts that cannot reach each other
	check checker
	trace []string
	quiet bool
	wall  time.Time
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// Violation is a broken invariant, with the run's trace.
type Violation struct {
	Seed  uint64
	At    time.Duration
	What  string
	Trace []string
}

func (v *Violation) Error() string {
	tail := v.Trace[max(0, len(v.Trace)-120):]
	return fmt.Sprintf("seed %d at %s: %s\n%s", v.Seed, v.At, v.What, strings.Join(tail, "\n"))
}

// Run runs one schedule and returns the *Violation that it found, or nil.
func Run(opt Options) error {
	_, err := run(opt)
	return err
}

func run(opt Options) (w *World, err error) {
	if opt.Decide == nil {
		opt.Decide = ha.Decide
	}
	w = &World{opt: opt, rng: rand.New(rand.NewPCG(opt.Seed, 42)), cuts: map[[2]string]bool{}, wall: time.Unix(1_700_000_000, 0).UTC()}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Violation:
			err = v
		default:
			err = &Violation{Seed: opt.Seed, At: w.now, What: fmt.Sprintf("I6: panic: %v\n%s", v, debug.Stack()), Trace: w.trace}
		}
	}()
	w.store = newStore(w)
	for i := range opt.Hosts {
		h := newHost(w, fmt.Sprintf("n%d", i+1))
		w.hosts = append(w.hosts, h)
		w.after(w.span(0, 500), func() { h.startAgent() })
	}
	w.after(time.Second, w.tick)
	w.after(4*time.Second, w.fault)
	w.runUntil(opt.Faulty)
	w.heal()
	w.runUntil(opt.Faulty + opt.Quiet)
	w.check.atRest(w)
	return w, nil
}

func (w *World) runUntil(end time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		w.check.step(w)
	}
	w.now = end
}

func (w *World) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + d, w.seq, do})
}

// span is a random time between lo and hi milliseconds.
func (w *World) span(lo, hi int) time.Duration {
	return time.Duration(lo*1000+w.rng.IntN((hi-lo)*1000+1)) * time.Microsecond
}

func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

func (w *World) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%9.3f %s", w.now.Seconds(), fmt.Sprintf(format, args...)))
	if w.opt.Trace {
		fmt.Println(w.trace[len(w.trace)-1])
	}
}

func (w *World) violated(format string, args ...any) {
	panic(&Violation{Seed: w.opt.Seed, At: w.now, What: fmt.Sprintf(format, args...), Trace: w.trace})
}

func (w *World) host(name string) *host {
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// linked says whether two hosts, or a host and the store, reach each other.
func (w *World) linked(a, b string) bool { return !w.cuts[[2]string{a, b}] && !w.cuts[[2]string{b, a}] }

// tick moves clients and replication along.
func (w *World) tick() {
	for _, h := range w.hosts {
		h.pg.client(h)
	}
	for _, h := range w.hosts {
		h.pg.replicate(h)
	}
	for _, h := range w.hosts {
		h.pg.acknowledge(h)
	}
	w.after(w.span(8, 25), w.tick)
}
