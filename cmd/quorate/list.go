package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
)

// listOptions are those of list and topology.
type listOptions struct {
	clusters  []string
	format    ctl.Format
	extended  bool
	timestamp bool
	watch     watchOptions
}

func newListCmd(a *app) *cobra.Command {
	var o listOptions
	var format string
	c := &cobra.Command{
		Use:     "list [CLUSTER...]",
		Short:   "Show the members of a cluster",
		Aliases: []string{"members"},
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.format, err = parseFormat(format); err != nil {
				return err
			}
			o.clusters = args
			return a.list(c.Context(), o)
		},
	}
	c.Flags().BoolVarP(&o.extended, "extended", "e", false, "show columns that are empty too")
	c.Flags().BoolVarP(&o.timestamp, "timestamp", "t", false, "print the time")
	formatFlag(c, &format, "pretty")
	o.watch.flags(c)
	a.globalFlags(c)
	return c
}

func newTopologyCmd(a *app) *cobra.Command {
	o := listOptions{format: ctl.Topology}
	c := &cobra.Command{
		Use:   "topology [CLUSTER...]",
		Short: "Show the members of a cluster as a tree of replication",
		RunE: func(c *cobra.Command, args []string) error {
			o.clusters = args
			return a.list(c.Context(), o)
		},
	}
	o.watch.flags(c)
	a.globalFlags(c)
	return c
}

// formatFlag adds --format, with the letter f if that is free.
func formatFlag(c *cobra.Command, format *string, def string) {
	const help = "pretty, tsv, json, yaml or yml"
	if c.Flags().ShorthandLookup("f") == nil {
		c.Flags().StringVarP(format, "format", "f", def, help)
		return
	}
	c.Flags().StringVar(format, "format", def, help)
}

// parseFormat reads the option --format.
func parseFormat(s string) (ctl.Format, error) {
	f, err := ctl.ParseFormat(s)
	if err != nil {
		return "", usageError{err}
	}
	return f, nil
}

func (a *app) list(ctx context.Context, o listOptions) error {
	if len(o.clusters) == 0 {
		o.clusters = []string{""}
	}
	sessions := make([]*session, len(o.clusters))
	for i, name := range o.clusters {
		s, err := a.connect(name)
		if err != nil {
			return err
		}
		sessions[i] = s
	}
	return a.repeat(ctx, o.watch, true, func() error {
		if o.timestamp {
			fmt.Fprintln(a.out, ctl.Stamp(a.now()))
		}
		for _, s := range sessions {
			c, err := s.cluster(ctx)
			if err != nil {
				return err
			}
			fmt.Fprint(a.out, ctl.Members(c, o.format, o.extended))
			if o.format == ctl.Pretty || o.format == ctl.Topology {
				s.advise(ctx, c)
			}
		}
		return nil
	})
}

// advise points out what is unwise in the cluster's configuration, beside the table and not in it: scripts read that.
func (s *session) advise(ctx context.Context, c ctl.Cluster) {
	shared, err := s.sharedConfig(ctx, c)
	if err != nil {
		return
	}
	d, _ := dynamic.Parse(shared, s.profile())
	for _, line := range d.Advice(s.cfg.Etcd == nil) {
		fmt.Fprintf(s.app.err, "Advice: %s\n", line)
	}
}

// watchOptions say how often a command repeats itself.
type watchOptions struct {
	every2 bool
	every  float64 // seconds
}

func (w *watchOptions) flags(c *cobra.Command) {
	c.Flags().BoolVarP(&w.every2, "watch-2", "W", false, "show again every 2 seconds")
	c.Flags().Float64VarP(&w.every, "watch", "w", 0, "show again every so many seconds")
}

func (w watchOptions) interval() time.Duration {
	if w.every > 0 {
		return time.Duration(w.every * float64(time.Second))
	}
	if w.every2 {
		return 2 * time.Second
	}
	return 0
}

// repeat does something once, or again and again while it is watched. An error ends it only the first time: a cluster that is watched
// through a failover may not answer for a moment.
func (a *app) repeat(ctx context.Context, w watchOptions, clear bool, do func() error) error {
	interval := w.interval()
	if interval == 0 {
		return do()
	}
	ticker := time.NewTicker(max(interval, 10*time.Millisecond))
	defer ticker.Stop()
	for once := true; ; once = false {
		if clear && isTerminal(a.out) {
			fmt.Fprint(a.out, "\x1b[2J\x1b[H")
		}
		if err := do(); err != nil {
			if once {
				return err
			}
			a.complain(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
