package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

func newPauseCmd(a *app) *cobra.Command {
	return a.pauseCmd("pause", "Take the cluster's management away from the agents", true)
}

func newResumeCmd(a *app) *cobra.Command {
	return a.pauseCmd("resume", "Give the cluster's management back to the agents", false)
}

func (a *app) pauseCmd(name, short string, paused bool) *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   name + " [CLUSTER]",
		Short: short,
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.connect(firstOf(args))
			if err != nil {
				return err
			}
			return s.setPause(c.Context(), paused, wait)
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until all members have taken it")
	a.globalFlags(c)
	return c
}

func (s *session) setPause(ctx context.Context, paused, wait bool) error {
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	if c.Pause == paused {
		if paused {
			return said("Cluster is already paused")
		}
		return said("Cluster is not paused")
	}
	verb, done := "resume", "Success: cluster management is resumed"
	change := map[string]any{"pause": nil}
	if paused {
		verb, done = "pause", "Success: cluster management is paused"
		change["pause"] = true
	}
	r, err := s.changeConfig(ctx, c, change)
	if err != nil {
		return err
	}
	if r.Code != http.StatusOK {
		fmt.Fprintf(s.out, "Failed: %s cluster management status code=%d, (%s)\n", verb, r.Code, spoken(r))
		return errFailed
	}
	if wait {
		fmt.Fprintf(s.out, "'%s' request sent, waiting until it is recognized by all nodes\n", verb)
		if err := s.waitPause(ctx, c, paused); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.out, done)
	return nil
}

// waitPause waits until every member says that it has taken the change, as long as a member may sleep.
func (s *session) waitPause(ctx context.Context, c ctl.Cluster, paused bool) error {
	wait := s.loopWait(ctx, c) + time.Second
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	left := c.Members
	for {
		behind := s.behind(ctx, left, paused, wait/3)
		if len(behind) == 0 {
			return nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return saidf("%s members didn't recognized pause state after %d seconds", list(behind), int(wait.Seconds()))
			}
			return err
		}
	}
}

// behind are the members on which a pause, or its end, does not hold yet: by their own word, and by their key when they do not answer within patience.
func (s *session) behind(ctx context.Context, members []client.Member, paused bool, patience time.Duration) (names []string) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said := make([]client.Status, len(members))
	errs := make([]error, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() { said[i], errs[i] = s.client.Status(asking, m.APIURL) })
	}
	asked.Wait()
	for i, m := range members {
		holds := errs[i] == nil && said[i].Pause == paused
		if errs[i] != nil {
			v, err := s.lookUp(ctx)
			holds = err == nil && v.Paused(m.Name, paused)
		}
		if !holds {
			names = append(names, m.Name)
		}
	}
	return names
}
