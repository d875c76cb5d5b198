package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

func newWhyCmd(a *app) *cobra.Command {
	var format string
	var last int
	c := &cobra.Command{
		Use:   "why [CLUSTER] [MEMBER...]",
		Short: "Show the last decisions of the agents, and why they were made",
		RunE: func(c *cobra.Command, args []string) error {
			f, err := parseFormat(format)
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
// story: it is named, and the others are shown. So is one whose key is gone, which may answer all the same: it may be cut off from the store alone.
func (a *app) why(ctx context.Context, args []string, last int, f ctl.Format) error {
	s, err := a.connectBy(args)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	missing := s.missing(ctx, c)
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		c.Members = append(c.Members, client.Member{Name: name, APIURL: missing[name]})
	}
	names, err := s.memberNames(ctx, c, args)
	if err != nil {
		return err
	}
	members := slices.DeleteFunc(slices.Clone(c.Members), func(m client.Member) bool {
		return len(names) > 0 && !slices.Contains(names, m.Name)
	})
	all, now, answered := s.decisions(ctx, members, missing)
	if !answered {
		return errFailed
	}
	sheet := ctl.Decisions(all, last, time.Local)
	if width := terminalWidth(a.out); f == ctl.Pretty && width > 0 && sheet.Width() > width {
		fmt.Fprint(a.out, ctl.Story(all, last, time.Local, width))
	} else {
		fmt.Fprint(a.out, sheet.Render(f))
	}
	if f == ctl.Pretty {
		fmt.Fprint(a.out, now)
	}
	return nil
}

// decisions asks the members, all at once; now is why each does what it does at present.
func (s *session) decisions(ctx context.Context, members []client.Member, missing map[string]string) (all []ctl.MemberDecision, now string, answered bool) {
	answers := make([]client.Why, len(members))
	errs := make([]error, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() { answers[i], errs[i] = s.client.Why(ctx, m.APIURL) })
	}
	asked.Wait()
	for i, m := range members {
		if missing[m.Name] != "" {
			fmt.Fprintf(s.app.err, "Warning: %s %s\n", m.Name, notReporting)
		}
		if errs[i] != nil {
			fmt.Fprintf(s.app.err, "Warning: %s: %v\n", m.Name, errs[i])
			continue
		}
		answered = true
		for _, d := range answers[i].Decisions {
			all = append(all, ctl.MemberDecision{Member: m.Name, Decision: d})
		}
		if answers[i].Now != "" {
			now += fmt.Sprintf(" %s now: %s\n", m.Name, answers[i].Now)
		}
		if f := answers[i].Failed; f != nil {
			now += fmt.Sprintf(" %s failed: %s\n", m.Name, failure(f, time.Now()))
		}
	}
	return all, now, answered
}

// failure tells of an operation that came to nothing, as of now.
func failure(f *client.FailedOperation, now time.Time) string {
	text := fmt.Sprintf("%s, %s ago", f.Kind, max(0, now.Sub(f.At)).Round(time.Second))
	if f.Count > 1 {
		text += fmt.Sprintf(" and %d times before", f.Count-1)
	}
	return text + ": " + f.Error
}
