// Command qbench measures clusters on hosts of their own: what scripts/bench runs. Needs root.
//
//	qbench failover [-stack quorate|patroni] [-runs N] [-sync] [-faults PATTERN]
//	qbench rest     [-stack quorate|patroni] [-for 60s]
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
		fmt.Fprintln(os.Stderr, "qbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		return errors.New("what is to be measured? failover or rest")
	}
	switch args[0] {
	case "failover":
		return failover(ctx, args[1:], out, progress)
	case "rest":
		return rest(ctx, args[1:], out, progress)
	}
	return fmt.Errorf("%q cannot be measured; failover and rest can", args[0])
}
