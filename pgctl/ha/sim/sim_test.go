package sim

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seeds = flag.Int("sim.seeds", 150, "how many schedules to run in each mode")
	first = flag.Uint64("sim.first", 1, "the first seed")
	trace = flag.Bool("sim.trace", false, "print every step")
)

func options(seed uint64, mode string) Options {
	return Options{Seed: seed, Hosts: 3, Sync: mode, Strict: seed%5 == 0, Faulty: 40 * time.Second, Quiet: 40 * time.Second, Trace: *trace}
}

func TestSchedules(t *testing.T) {
	for _, mode := range []string{"off", "on", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for i := range *seeds {
				if err := Run(options(*first+uint64(i), mode)); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Printf("%s: %d schedules\n", mode, *seeds)
		})
	}
}
