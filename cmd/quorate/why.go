package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

func newWhyCmd(a *app) *cobra.Command {
	var format string
	var last int
	c := &cobra.Command{
		Use:   "why [CLUSTER] [MEMBER...]",
		Short: "Show the last decisions of the agents, and why they were made",
		RunE: func(c *cobra.Command, args []string) error {
			f, err := ctl.ParseFormat(format)
			if err != nil {
				return err
			}
			return a.why(c.Context(), args, last, f)
		},
	}
	c.Flags().IntVarP(&last, "last", "n", 20, "how many; 0: all that the members remember")
	formatFlag(c, &format, "pretty")
	a.globalFlags(c)
	return c
}

// why asks every member, since a failover is the decisions of several. A member that does not answer is the likeliest to be part of the
// story: it is named, and the others are shown.
func (a *app) why(ctx context.Context, args []string, last int, f ctl.Format) error {
	s, err := a.connect("")
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	names, err := memberNames(c, args)
	if err != nil {
		return err
	}
	var all []ctl.MemberDecision
	var now []string
	answered := false
	for _, m := range c.Members {
		if len(names) > 0 && !slices.Contains(names, m.Name) {
			continue
		}
		w, err := s.client.Why(ctx, m.APIURL)
		if err != nil {
			fmt.Fprintf(a.err, "Warning: %s: %v\n", m.Name, err)
			continue
		}
		answered = true
		for _, d := range w.Decisions {
			all = append(all, ctl.MemberDecision{Member: m.Name, Decision: d})
		}
		if w.Now != "" {
			now = append(now, fmt.Sprintf(" %s now: %s", m.Name, w.Now))
		}
	}
	if !answered {
		return errFailed
	}
	fmt.Fprint(a.out, ctl.Decisions(all, last, time.Local).Render(f))
	if f == ctl.Pretty {
		for _, line := range now {
			fmt.Fprintln(a.out, line)
		}
	}
	return nil
}
