package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

func newReinitCmd(a *app) *cobra.Command {
	sel := &selection{action: "reinitialize", role: "replica"}
	var fromLeader, wait bool
	c := &cobra.Command{
		Use:   "reinit [CLUSTER] [MEMBER...]",
		Short: "Make the data of replicas anew",
	}
	c.RunE = a.selected(sel, func(ctx context.Context, s *session, _ ctl.Cluster, members []client.Member) error {
		var started []reinitialized
		err := s.each(members, "reinitialize", func(m client.Member) (bool, error) {
			r := reinitialized{Member: m, before: s.startTime(ctx, m)}
			ok, err := s.reinit(ctx, m, sel.force, fromLeader)
			if ok && wait {
				started = append(started, r)
			}
			return ok, err
		})
		if waitErr := s.waitReinit(ctx, started); waitErr != nil {
			return waitErr
		}
		return err
	})
	c.Flags().BoolVar(&fromLeader, "from-leader", false, "copy from the leader")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	forceFlag(c, &sel.force)
	a.globalFlags(c)
	return c
}

// reinitialized is a member that begins anew, and when its PostgreSQL had been started before.
type reinitialized struct {
	client.Member
	before string
	told   string // why it has not succeeded so far
}

// startTime is when a member's PostgreSQL was started; "" when it does not answer.
func (s *session) startTime(ctx context.Context, m client.Member) string {
	status, err := s.client.Status(ctx, m.APIURL)
	if err != nil {
		return ""
	}
	return status.PostmasterStartTime
}

// reinit asks a member to begin anew; one that is busy is asked again with force if the person says so.
func (s *session) reinit(ctx context.Context, m client.Member, force, fromLeader bool) (bool, error) {
	for {
		r, err := s.client.Do(ctx, m.APIURL, http.MethodPost, "/reinitialize", map[string]bool{"force": force, "from_leader": fromLeader})
		if err != nil {
			return false, err
		}
		ok := s.report(r, m.Name, "reinitialize")
		if ok || force || !strings.HasSuffix(r.Text(), " already in progress") {
			return ok, nil
		}
		again, err := s.prompts.confirm("Do you want to cancel it and reinitialize anyway?")
		if err != nil || !again {
			return false, err
		}
		force = true
	}
}

// waitReinit waits until every member runs a PostgreSQL that was started since. The state alone would not do: right after the request it
// is still that of the old one.
func (s *session) waitReinit(ctx context.Context, members []reinitialized) error {
	said := 0
	for len(members) > 0 {
		if len(members) != said {
			said = len(members)
			names := make([]string, said)
			for i, m := range members {
				names[i] = m.Name
			}
			fmt.Fprintf(s.out, "Waiting for reinitialize to complete on: %s\n", list(names))
		}
		if err := pause(ctx, time.Second/2); err != nil {
			return err
		}
		var busy []reinitialized
		for _, m := range members {
			status, err := s.client.Status(ctx, m.APIURL)
			if err != nil || status.State != "running" || status.PostmasterStartTime == m.before {
				s.tellFailure(ctx, &m)
				busy = append(busy, m)
				continue
			}
			fmt.Fprintf(s.out, "Reinitialize is completed on: %s\n", m.Name)
		}
		members = busy
	}
	return nil
}

// tellFailure says why a member has come to nothing so far, once for each reason. It tries again by itself, and so does not end the wait.
func (s *session) tellFailure(ctx context.Context, m *reinitialized) {
	why, err := s.client.Why(ctx, m.APIURL)
	if err != nil || why.Failed == nil || why.Failed.Error == m.told {
		return
	}
	m.told = why.Failed.Error
	fmt.Fprintf(s.app.err, "Warning: %s: %s failed, and is tried again: %s\n", m.Name, why.Failed.Kind, m.told)
}
