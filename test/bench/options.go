//go:build bench

package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// options are the flags that all measurements share.
type options struct {
	peer   string // a second product beside ours; none if empty
	binary string // built elsewhere; built here if empty
	logs   string // folder for the logs of all processes; removed at the end if empty
	busy   bool   // measure although other work runs on the machine
}

func (o *options) flags(name string, progress io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	f.SetOutput(progress)
	f.StringVar(&o.peer, "peer", "", "patroni: measure the stack that Quorate replaces beside it")
	f.StringVar(&o.binary, "binary", "", "the program to measure (default: built from this checkout)")
	f.StringVar(&o.logs, "logs", "", "folder that keeps the logs of all processes (default: removed at the end)")
	f.BoolVar(&o.busy, "busy", false, "measure although other work runs on this machine; the table says so")
	return f
}

// parse reads the command line; what is left over is an error, so that a flag behind a stray word is not silently ignored.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q: only flags are expected", f.Arg(0))
	}
	return nil
}

// list splits a comma-separated flag; nil if empty.
func list(value string) []string {
	var names []string
	for _, name := range strings.Split(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
