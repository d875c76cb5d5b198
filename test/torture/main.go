//go:build torture

// Command torture runs a store of three hosts, in network namespaces, under faults and checks that its clients saw one copy of the data: what
// scripts/torture-store runs. Needs root.
//
// Time goes by in slices. In each, clients read, write, compare and swap, and delete keys, each on a member of its own choice, while members are killed, stopped
// and continued, cut off (both ways or one), handed the leadership or robbed of their disk. Porcupine then looks for an order of the operations that explains
// every answer. Two more clients take a lock by lease from each other: nobody may get it within the time for which its holder's last renewal was good. At the
// end of a slice all members must have the same hash.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"quorate/test/lab"
)

type options struct {
	binary, logs string
	long, slice  time.Duration
	seed         uint64
	clients      int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "", "the program")
	f.StringVar(&o.logs, "logs", "", "a folder for the members' logs and the histories that failed (a temporary one)")
	f.DurationVar(&o.long, "for", 5*time.Minute, "how long in all")
	f.DurationVar(&o.slice, "slice", 30*time.Second, "how long between two checks")
	f.Uint64Var(&o.seed, "seed", 0, "the seed of the first slice (0: drawn)")
	f.IntVar(&o.clients, "clients", 8, "how many clients at once")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	if o.logs == "" {
		dir, err := os.MkdirTemp("", "torture-")
		if err != nil {
			return err
		}
		o.logs = dir
	}
	l, err := lab.New(lab.Options{Logs: o.logs})
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := newCluster(ctx, l, o)
	if err != nil {
		return err
	}
	fmt.Printf("logs in %s\n", o.logs)
	total := tally{}
	for began, n := time.Now(), uint64(0); time.Since(began) < o.long && ctx.Err() == nil; n++ {
		t, err := c.torture(ctx, o, o.seed+n)
		total.add(t)
		if err != nil {
			return fmt.Errorf("slice of seed %d: %w", o.seed+n, err)
		}
		fmt.Printf("seed %d: %s\n", o.seed+n, t)
	}
	fmt.Printf("in all: %s; no violation\n", total)
	return ctx.Err()
}
