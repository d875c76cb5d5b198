// Command bench measures the router beside HAProxy: same PostgreSQL, same client, same run, interleaved. Direct connections
// are measured too. Nothing else should run on the machine meanwhile.
//
//	go run ./proxy/bench [-for 10s] [-rounds 3] [-only REGEXP] [-idle 10000]
//	go run ./proxy/bench soak [-for 10m] [-sessions 10000] [-rate 1000]
//
// It needs haproxy, pgbench and PostgreSQL's server programs, and prints a table: the median of the rounds, and whether the goals are reached.
// The soak is the router alone before a bare backend, under sessions that stay and others that come and go: it ends with an error if one of
// them fails or the router holds more at the end than after the first tenth. scripts/bench and scripts/soak-router call it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run dispatches: without a word it measures; with one it is one of its own helpers, in a process of its own.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	switch {
	case len(args) == 4 && args[0] == "router":
		return routerProcess(ctx, args[1], args[2], args[3])
	case len(args) > 0 && args[0] == "soak":
		return soak(ctx, args[1:], out, progress)
	case len(args) == 2 && args[0] == "backend":
		return backendProcess(ctx, args[1])
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.DurationVar(&o.length, "for", 10*time.Second, "length of each run")
	flags.IntVar(&o.rounds, "rounds", 3, "runs of each kind")
	flags.IntVar(&o.idle, "idle", 10000, "idle sessions for the measure of memory")
	only := flags.String("only", "", "measure only what matches this regular expression")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	return measureAll(ctx, o, out, progress)
}

type options struct {
	length       time.Duration
	rounds, idle int
	only         *regexp.Regexp
}
