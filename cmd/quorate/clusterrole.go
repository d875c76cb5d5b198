package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

func newDemoteClusterCmd(a *app) *cobra.Command {
	var host, restore, slot string
	var port int
	var force bool
	c := &cobra.Command{
		Use:   "demote-cluster [CLUSTER]",
		Short: "Make the cluster a standby cluster, which follows a remote primary",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if host == "" && port == 0 && restore == "" {
				return said("At least --host, --port or --restore-command should be specified")
			}
			standby := map[string]any{}
			for name, v := range map[string]string{"host": host, "restore_command": restore, "primary_slot_name": slot} {
				if v != "" {
					standby[name] = v
				}
			}
			if port != 0 {
				standby["port"] = port
			}
			return a.changeRole(c.Context(), firstOf(args), roleChange{verb: "demot", role: "standby_leader", config: standby, force: force})
		},
	}
	c.Flags().StringVar(&host, "host", "", "address of the remote primary")
	c.Flags().IntVar(&port, "port", 0, "port of the remote primary")
	c.Flags().StringVar(&restore, "restore-command", "", "command that fetches WAL of the remote primary")
	c.Flags().StringVar(&slot, "primary-slot-name", "", "replication slot on the remote primary")
	forceFlag(c, &force)
	a.globalFlags(c)
	return c
}

func newPromoteClusterCmd(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "promote-cluster [CLUSTER]",
		Short: "Make a standby cluster a cluster of its own",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeRole(c.Context(), firstOf(args), roleChange{verb: "promot", role: "leader", force: force})
		},
	}
	forceFlag(c, &force)
	a.globalFlags(c)
	return c
}

// roleChange turns a cluster into a standby cluster or back.
type roleChange struct {
	verb   string // its stem: "demot" or "promot"
	role   string // of the leader in the end, as in /cluster
	config map[string]any
	force  bool
}

func (a *app) changeRole(ctx context.Context, scope string, r roleChange) error {
	s, err := a.connect(scope)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	leader := c.Leader()
	if leader == nil {
		return saidf("Cluster has no leader, %sion is not possible", r.verb)
	}
	if leader.Role == r.role {
		return said("Cluster is already in the required state")
	}
	fmt.Fprintln(s.out, "Current cluster topology")
	s.show(c)
	if !r.force {
		if err := s.agree(fmt.Sprintf("Are you sure you want to %se %s cluster?", r.verb, c.Name), "Aborted cluster "+r.verb+"ion"); err != nil {
			return err
		}
	}
	body := map[string]any{"standby_cluster": nil}
	if r.config != nil {
		body["standby_cluster"] = r.config
	}
	reply, err := s.client.Do(ctx, leader.APIURL, http.MethodPatch, "/config", body)
	if err != nil {
		return fmt.Errorf("failed to %se %s cluster: %w", r.verb, c.Name, err)
	}
	if reply.Code != http.StatusOK {
		return saidf("Failed to %se %s cluster: /config PATCH status code=%d, (%s)", r.verb, c.Name, reply.Code, reply.Text())
	}
	return s.waitRole(ctx, r, leader.Name)
}

// waitRole waits until a leader of the new kind runs, and after a demotion also the old one.
func (s *session) waitRole(ctx context.Context, r roleChange, old string) error {
	for {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		c, err := s.cluster(ctx)
		if err != nil {
			fmt.Fprintf(s.app.err, "Warning: %v\n", err)
			continue
		}
		if roleReached(c, r, old) {
			fmt.Fprintf(s.out, "%s cluster is successfully %sed\n", ctl.Stamp(s.now()), r.verb)
			s.show(c)
			return nil
		}
		role, state := "None", "None"
		if l := c.Leader(); l != nil {
			role, state = l.Role, l.State
		}
		fmt.Fprintf(s.out, "%s cluster is unlocked: %t, leader role: %s, leader state: %s\n", ctl.Stamp(s.now()), c.Leader() == nil, role, state)
	}
}

func roleReached(c ctl.Cluster, r roleChange, old string) bool {
	l := c.Leader()
	if l == nil || l.Role != r.role || !serving(l.State) {
		return false
	}
	if r.verb == "promot" {
		return true
	}
	m := c.Member(old)
	return m == nil || serving(m.State)
}

// serving are the states of a server that is up; a standby leader shows how it replicates.
func serving(state string) bool {
	return state == "running" || state == "streaming" || state == "in archive recovery"
}
