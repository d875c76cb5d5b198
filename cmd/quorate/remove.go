package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/internal/ctl"
	"quorate/internal/dcsclient"
)

func newRemoveCmd(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "remove CLUSTER",
		Short: "Delete all that the store has of a cluster; the databases stay",
		Args:  exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := parseFormat(format)
			if err != nil {
				return err
			}
			s, err := a.connect(args[0])
			if err != nil {
				return err
			}
			return s.remove(c.Context(), args[0], f)
		},
	}
	formatFlag(c, &format, "pretty")
	a.globalFlags(c)
	return c
}

// remove asks three times first, since what it deletes tells nodes which data is the cluster's.
func (s *session) remove(ctx context.Context, scope string, f ctl.Format) error {
	c, err := s.cluster(ctx)
	if err != nil {
		// A cluster whose members are gone is what one removes.
		fmt.Fprintf(s.app.err, "Warning: %s\n", dcsclient.Words(err))
		if _, err := s.leaderInStore(ctx, scope); err != nil {
			return err // nothing could be removed
		}
	} else {
		fmt.Fprint(s.out, ctl.Members(c, f, false))
	}
	if err := s.sureToRemove(ctx, scope); err != nil {
		return err
	}
	return s.withStore(ctx, func(ctx context.Context, db *clientv3.Client) error {
		_, err := db.Delete(ctx, s.prefix(scope), clientv3.WithPrefix())
		return err
	})
}

// sureToRemove asks for the cluster's name, for a sentence, and for the leader's name if there is one.
func (s *session) sureToRemove(ctx context.Context, scope string) error {
	name, err := s.prompts.ask("Please confirm the cluster name to remove", nil)
	if err != nil {
		return err
	}
	if name != scope {
		return said("Cluster names specified do not match")
	}
	const aware = "Yes I am aware"
	typed, err := s.prompts.ask(fmt.Sprintf("You are about to remove all information in DCS for %s, please type: %q", scope, aware), nil)
	if err != nil {
		return err
	}
	if typed != aware {
		return saidf("You did not exactly type %q", aware)
	}
	leader, err := s.leaderInStore(ctx, scope)
	if err != nil || leader == "" {
		return err
	}
	named, err := s.prompts.ask("This cluster currently is healthy. Please specify the leader name to continue", nil)
	if err == nil && named != leader {
		err = said("You did not specify the current leader of the cluster")
	}
	return err
}

// leaderInStore is who holds the leader key, by the store and not by a member: the members may be cut off.
func (s *session) leaderInStore(ctx context.Context, scope string) (name string, err error) {
	err = s.withStore(ctx, func(ctx context.Context, db *clientv3.Client) error {
		r, err := db.Get(ctx, s.prefix(scope)+"leader")
		if err == nil && len(r.Kvs) > 0 {
			name = string(r.Kvs[0].Value)
		}
		return err
	})
	return name, err
}
