package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

// restartOptions are those of restart.
type restartOptions struct {
	selection
	one       bool
	scheduled string
	version   string
	pending   bool
	timeout   string
	rolling   bool
}

func newRestartCmd(a *app) *cobra.Command {
	o := restartOptions{selection: selection{action: "restart"}}
	c := &cobra.Command{
		Use:   "restart [CLUSTER] [MEMBER...]",
		Short: "Restart PostgreSQL on members",
		RunE: func(c *cobra.Command, args []string) error {
			o.args = args
			return a.restart(c.Context(), o)
		},
	}
	roleFlag(c, &o.role, "any", "restart only members of this role")
	c.Flags().BoolVar(&o.one, "any", false, "restart one member only, whichever")
	c.Flags().StringVar(&o.scheduled, "scheduled", "", "when: ISO 8601, or now")
	c.Flags().StringVar(&o.version, "pg-version", "", "restart only if PostgreSQL is older than this version, for example 15.6")
	c.Flags().BoolVar(&o.pending, "pending", false, "restart only where a restart is pending")
	c.Flags().StringVar(&o.timeout, "timeout", "", "fail, and fail over if needed, when it takes longer than so many seconds")
	c.Flags().BoolVar(&o.rolling, "rolling", false, "one after the other, each when the one before is back: replicas first, then a switchover and the old leader")
	forceFlag(c, &o.force)
	a.globalFlags(c)
	return c
}

func (a *app) restart(ctx context.Context, o restartOptions) error {
	if o.rolling && (o.one || o.scheduled != "" && o.scheduled != "now") {
		return errors.New("--rolling restarts all that are named, now: it goes neither with --any nor with --scheduled")
	}
	s, err := a.connectBy(o.args)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	members, err := s.choose(ctx, c, o.selection)
	if err != nil {
		return err
	}
	at, err := s.whenToRestart(&o)
	if err != nil {
		return err
	}
	members = o.narrow(members, at)
	if err := s.sureToRestart(members, o, at); err != nil {
		return err
	}
	body, err := s.restartBody(c, o, at)
	if err != nil {
		return err
	}
	if o.rolling {
		return s.rolling(ctx, c, members, o, body)
	}
	return s.each(members, "restart", func(m client.Member) (bool, error) { return s.restartOne(ctx, m, o, body) })
}

func (s *session) whenToRestart(o *restartOptions) (time.Time, error) {
	if o.scheduled == "" && !o.force && !o.rolling {
		now := "now"
		when, err := s.prompts.ask("When should the restart take place (e.g. "+s.nextHour()+") ", &now)
		if err != nil {
			return time.Time{}, err
		}
		o.scheduled = when
	}
	at, _, err := ctl.ParseSchedule(o.scheduled, time.Now())
	return at, err
}

// narrow keeps the members that wait for a restart, unless that is to be seen later, and one of them if one is enough.
func (o restartOptions) narrow(members []client.Member, at time.Time) []client.Member {
	if o.pending && at.IsZero() {
		members = slices.DeleteFunc(slices.Clone(members), func(m client.Member) bool { return !m.PendingRestart })
	}
	if o.one && len(members) > 1 {
		members = []client.Member{members[rand.IntN(len(members))]}
	}
	return members
}

func (s *session) sureToRestart(members []client.Member, o restartOptions, at time.Time) error {
	switch {
	case o.force:
		return nil
	case at.IsZero():
		return s.sure(members, o.selection)
	case o.pending:
		return s.agree("The nodes needing a restart will be identified at the scheduled time, and might be different from the ones showing "+
			"pending restart right now. Is this fine?", "Aborted scheduled restart")
	}
	return s.agree(fmt.Sprintf("Are you sure you want to schedule restart of members %s at %s?", list(namesOf(members)), ctl.ISO(at)),
		"Aborted scheduled restart")
}

func (s *session) restartBody(c ctl.Cluster, o restartOptions, at time.Time) (map[string]any, error) {
	if o.version == "" && !o.force {
		none := ""
		version, err := s.prompts.ask("Restart if the PostgreSQL version is less than provided (e.g. 9.5.2) ", &none)
		if err != nil {
			return nil, err
		}
		o.version = version
	}
	body := map[string]any{}
	if o.pending {
		body["restart_pending"] = true
	}
	if o.version != "" {
		if err := ctl.CheckPostgresVersion(o.version); err != nil {
			return nil, err
		}
		body["postgres_version"] = o.version
	}
	if !at.IsZero() {
		if c.Pause {
			return nil, said("Can't schedule restart in the paused state")
		}
		body["schedule"] = ctl.ISO(at)
	}
	if o.timeout != "" {
		body["timeout"] = o.timeout
	}
	return body, nil
}

func (s *session) restartOne(ctx context.Context, m client.Member, o restartOptions, body map[string]any) (bool, error) {
	if body["schedule"] != nil && o.force && m.ScheduledRestart != nil {
		if _, err := s.client.Do(ctx, m.APIURL, http.MethodDelete, "/restart", nil); err != nil {
			return false, err
		}
	}
	r, err := s.client.Do(ctx, m.APIURL, http.MethodPost, "/restart", body)
	if err != nil {
		return false, err
	}
	switch r.Code {
	case http.StatusOK:
		fmt.Fprintf(s.out, "Success: restart on member %s\n", m.Name)
	case http.StatusAccepted:
		fmt.Fprintf(s.out, "Success: restart scheduled on member %s\n", m.Name)
	case http.StatusConflict:
		fmt.Fprintf(s.out, "Failed: another restart is already scheduled on member %s\n", m.Name)
		return false, nil
	default:
		return s.report(r, m.Name, "restart"), nil
	}
	return true, nil
}
