// Command qwriter commits rows until it is told to end, and prints each attempt as a JSON line: once before it is sent and once with its outcome.
// It is package test/check/writer for a process of its own, which ends with the host that it runs on.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"quorate/test/check"
	"quorate/test/check/writer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "qwriter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("qwriter", flag.ContinueOnError)
	var o writer.Options
	flags.StringVar(&o.Name, "name", "writer", "name of the writer, unique in the history")
	flags.StringVar(&o.Target, "target", "", "connection string or URL")
	flags.StringVar(&o.Node, "node", "", "address that acknowledgements are ascribed to, for UNIX sockets")
	flags.StringVar((*string)(&o.Mode), "mode", string(writer.Kept), "kept or fresh sessions")
	flags.DurationVar(&o.Every, "every", 0, "pace (default 10ms)")
	flags.DurationVar(&o.Hold, "hold", 0, "how long each statement is in flight")
	flags.DurationVar(&o.Connect, "connect-timeout", 0, "bound on opening a session (default 5s)")
	flags.DurationVar(&o.Timeout, "timeout", 0, "bound on a statement (default 5s)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	enc := json.NewEncoder(out) // unbuffered: a killed process has said all that it knew
	o.Record = func(op check.Op) {
		if err := enc.Encode(op); err != nil {
			fail(err) // a record that cannot be kept must not go on writing
		}
	}
	w, err := writer.New(o)
	if err != nil {
		return err
	}
	w.Run(ctx)
	if err := context.Cause(ctx); err != nil && err != context.Canceled {
		return err
	}
	return nil
}
