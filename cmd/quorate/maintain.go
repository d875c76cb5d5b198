package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
	"quorate/internal/ctl/direct"
)

// selected makes a command for some members out of what is done with them.
func (a *app) selected(sel *selection, do func(ctx context.Context, s *session, c ctl.Cluster, members []client.Member) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		sel.args = args
		s, err := a.connectBy(args)
		if err != nil {
			return err
		}
		c, err := s.cluster(cmd.Context())
		if err != nil {
			return err
		}
		members, err := s.choose(cmd.Context(), c, *sel)
		if err != nil {
			return err
		}
		if err := s.sure(members, *sel); err != nil {
			return err
		}
		return do(cmd.Context(), s, c, members)
	}
}

func newReloadCmd(a *app) *cobra.Command {
	sel := &selection{action: "reload"}
	c := &cobra.Command{
		Use:   "reload [CLUSTER] [MEMBER...]",
		Short: "Make members read their own configuration again",
		RunE: a.selected(sel, func(ctx context.Context, s *session, c ctl.Cluster, members []client.Member) error {
			wait := s.loopWait(ctx, c)
			return s.each(members, "reload", func(m client.Member) (bool, error) { return s.reload(ctx, m, wait) })
		}),
	}
	roleFlag(c, &sel.role, "any", "reload only members of this role")
	forceFlag(c, &sel.force)
	a.globalFlags(c)
	return c
}

func (s *session) reload(ctx context.Context, m client.Member, wait time.Duration) (bool, error) {
	r, err := s.client.Do(ctx, m.APIURL, http.MethodPost, "/reload", nil)
	if err != nil {
		return false, err
	}
	switch r.Code {
	case http.StatusOK:
		fmt.Fprintf(s.out, "No changes to apply on member %s\n", m.Name)
	case http.StatusAccepted:
		fmt.Fprintf(s.out, "Reload request received for member %s and will be processed within %d seconds\n", m.Name, int(wait.Seconds()))
	default:
		return s.report(r, m.Name, "reload"), nil
	}
	return true, nil
}

// loopWait is the upper bound between two looks of an agent.
func (s *session) loopWait(ctx context.Context, c ctl.Cluster) time.Duration {
	profile := s.profile()
	shared, err := s.sharedConfig(ctx, c)
	if err != nil {
		return profile.LoopWait
	}
	d, _ := dynamic.Parse(shared, profile)
	return d.LoopWait
}

func newFlushCmd(a *app) *cobra.Command {
	sel := &selection{action: "flush"}
	c := &cobra.Command{
		Use:       "flush [CLUSTER] [MEMBER...] restart|switchover",
		Short:     "Cancel what is scheduled",
		Args:      flushArgs,
		ValidArgs: []string{"restart", "switchover"},
		RunE: func(c *cobra.Command, args []string) error {
			target := args[len(args)-1]
			args = args[:len(args)-1]
			if target == "switchover" {
				return a.flushSwitchover(c.Context(), args)
			}
			return a.selected(sel, flushRestarts)(c, args)
		},
	}
	roleFlag(c, &sel.role, "any", "flush only members of this role")
	forceFlag(c, &sel.force)
	a.globalFlags(c)
	return c
}

func flushArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 || args[len(args)-1] != "restart" && args[len(args)-1] != "switchover" {
		return fmt.Errorf("the last argument must be restart or switchover")
	}
	return nil
}

func flushRestarts(ctx context.Context, s *session, _ ctl.Cluster, members []client.Member) error {
	return s.each(members, "flush scheduled restart", func(m client.Member) (bool, error) {
		if m.ScheduledRestart == nil {
			fmt.Fprintf(s.out, "No scheduled restart for member %s\n", m.Name)
			return true, nil
		}
		r, err := s.client.Do(ctx, m.APIURL, http.MethodDelete, "/restart", nil)
		if err != nil {
			return false, err
		}
		return s.report(r, m.Name, "flush scheduled restart"), nil
	})
}

func (a *app) flushSwitchover(ctx context.Context, args []string) error {
	s, err := a.connect(firstOf(args))
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	if c.ScheduledSwitchover == nil {
		fmt.Fprintln(s.out, "No pending scheduled switchover")
		return nil
	}
	r, err := s.write(ctx, c, http.MethodDelete, "/switchover", nil)
	if errors.Is(err, errNobody) {
		r = client.Reply{Code: http.StatusOK, Body: []byte("scheduled switchover deleted")}
		err = s.orStore(ctx, func(store *direct.Store) error { return store.CancelHandover(ctx) })
	}
	if err != nil {
		return err
	}
	if r.Code != http.StatusOK {
		fmt.Fprintf(s.out, "Failed: status_code=%d, (%s)\n", r.Code, spoken(r))
		return errFailed
	}
	fmt.Fprintf(s.out, "Success: %s\n", r.Text())
	return nil
}

// list is names with commas between.
func list(names []string) string { return strings.Join(names, ", ") }

// pause waits, unless the command is interrupted.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
