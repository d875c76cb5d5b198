package sim

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds = flag.Int("sim.seeds", 100, "how many schedules to run in each mode")
	first = flag.Uint64("sim.first", 1, "the first seed")
	trace = flag.Bool("sim.trace", false, "print every step")
	soak  = flag.Int("sim.soak", 0, "how many schedules TestSoak runs in each mode")
	mode  = flag.String("sim.mode", "", "run this mode alone: off, on or quorum")
)

func options(seed uint64, mode string) Options {
	return Options{Seed: seed, Hosts: 3, Sync: mode, Strict: seed%5 == 0, Safe: seed%3 == 0, Pauses: seed%4 == 3, Faulty: 40 * time.Second, Quiet: 40 * time.Second, Trace: *trace}
}

func modes() []string {
	if *mode != "" {
		return []string{*mode}
	}
	return []string{"off", "on", "quorum"}
}

func TestSchedules(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = min(n, 25)
	}
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for i := range n {
				if err := Run(options(*first+uint64(i), mode)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestSameSeedSameRun is what makes a failure worth its seed: nothing but the seed decides, map order included.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(5) {
		for _, mode := range modes() {
			a, errA := run(options(seed+1, mode))
			b, errB := run(options(seed+1, mode))
			if (errA == nil) != (errB == nil) {
				t.Fatalf("mode %s, seed %d: one run ends with %v, the other with %v", mode, seed+1, errA, errB)
			}
			if len(a.trace) < 50 {
				t.Fatalf("mode %s, seed %d: a trace of %d lines is no run", mode, seed+1, len(a.trace))
			}
			for i := range min(len(a.trace), len(b.trace)) {
				if a.trace[i] != b.trace[i] {
					t.Fatalf("mode %s, seed %d, line %d:\n%s\n%s", mode, seed+1, i, a.trace[i], b.trace[i])
				}
			}
			if len(a.trace) != len(b.trace) || a.now != b.now || a.store.rev != b.store.rev {
				t.Fatalf("mode %s, seed %d: the runs end apart", mode, seed+1)
			}
		}
	}
}

// TestSoak is for scripts/soak-sim: it runs until all schedules are through, whatever fails, and tells the seeds that did.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -sim.soak")
	}
	for _, mode := range modes() {
		start := time.Now()
		failed := soakMode(mode, *first, *soak, func(done int, v *Violation) {
			if v != nil { // told at once: a soak may be broken off
				t.Errorf("%s: seed %d at %s: %s", mode, v.Seed, v.At, v.What)
			} else {
				t.Logf("%s: %d schedules, %.1f/s", mode, done, float64(done)/time.Since(start).Seconds())
			}
		})
		t.Logf("%s: %d schedules from seed %d, %d failed, %.1f/s", mode, *soak, *first, failed, float64(*soak)/time.Since(start).Seconds())
	}
}

// soakMode runs n schedules on all processors, tells of each that fails and of every two hundredth, and counts the failures.
func soakMode(mode string, first uint64, n int, tell func(done int, v *Violation)) int {
	var next, failed atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if v, ok := Run(options(first+uint64(i), mode)).(*Violation); ok {
					failed.Add(1)
					tell(i+1, v)
				}
				if i%200 == 199 {
					tell(i+1, nil)
				}
			}
		})
	}
	all.Wait()
	return int(failed.Load())
}
