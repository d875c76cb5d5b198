//go:build bench

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
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

// run prints tables to out, and what happens meanwhile to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		return errors.New("what is to be measured? failover, idle, store or api")
	}
	switch args[0] {
	case "failover":
		return failover(ctx, args[1:], out, progress)
	case "idle":
		return idle(ctx, args[1:], out, progress)
	case "store":
		return store(ctx, args[1:], out, progress)
	case "api":
		return api(ctx, args[1:], out, progress)
	}
	return fmt.Errorf("%q cannot be measured; failover, idle, store and api can", args[0])
}
