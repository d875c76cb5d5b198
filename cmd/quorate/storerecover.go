package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/internal/etcdhost"
)

func newMemberUpdateCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "update MEMBER PEER-URL...",
		Short: "Change where the others reach a member",
		Args:  atLeast(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onStoreMember(c.Context(), args[0], func(ctx context.Context, db *clientv3.Client, m *pb.Member) error {
				if _, err := db.MemberUpdate(ctx, m.ID, args[1:]); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "Member %x (%s) updated\n", m.ID, m.Name)
				return nil
			})
		},
	}
	a.globalFlags(c)
	return c
}

func newMemberMoveLeaderCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "move-leader MEMBER",
		Short: "Have another member lead the store",
		Args:  exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onStoreMember(c.Context(), args[0], func(ctx context.Context, db *clientv3.Client, m *pb.Member) error {
				if err := moveLeader(ctx, db, m.ID); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "Member %x (%s) leads the store\n", m.ID, m.Name)
				return nil
			})
		},
	}
	a.globalFlags(c)
	return c
}

// moveLeader asks the leader itself: nobody else does it.
func moveLeader(ctx context.Context, db *clientv3.Client, target uint64) error {
	list, err := db.MemberList(ctx)
	if err != nil {
		return err
	}
	leader := leaderID(ctx, db)
	for _, m := range list.Members {
		if m.ID != leader || len(m.ClientURLs) == 0 {
			continue
		}
		old := db.Endpoints()
		db.SetEndpoints(m.ClientURLs...)
		defer db.SetEndpoints(old...)
		_, err := db.MoveLeader(ctx, target)
		return err
	}
	return errors.New("the store has no leader that can be asked")
}

func newMemberRecoverCmd(a *app) *cobra.Command {
	var dir string
	var survivors []string
	var force bool
	c := &cobra.Command{
		Use:   "recover",
		Short: "Make a cluster of the members that are left, when most are lost for good",
		Long: `When most members of the store are lost for good, make a new cluster of those that are left. Stop the store on all of them,
run this on each with the same --survivor list, then start them. Without --survivor this host alone is left.

What it means: writes that only the lost members had are gone, although they were acknowledged; writes that nobody acknowledged may
come into force. The lost hosts must never start again with their old store folders: empty them first, then they join anew. The
cluster gets a new id. If the hosts can come back with their disks, bring them back instead: nothing is lost then.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.recoverStore(dir, survivors, force) },
	}
	c.Flags().StringVar(&dir, "data-dir", "", "the store folder (default: that of the configuration)")
	c.Flags().StringArrayVar(&survivors, "survivor", nil, "ID@HOST:PORT of a member that is left, this one included; repeatable")
	forceFlag(c, &force)
	a.globalFlags(c)
	return c
}

func (a *app) recoverStore(dir string, names []string, force bool) error {
	if dir == "" {
		var err error
		if dir, _, err = a.storeFolder("", "-"); err != nil {
			return err
		}
	}
	self, err := etcdhost.Self(dir)
	if err != nil {
		return err
	}
	list := []etcdhost.Survivor{self}
	for i, name := range names {
		s, err := etcdhost.ParseSurvivor(name)
		if err != nil {
			return err
		}
		if i == 0 {
			list = nil
		}
		list = append(list, s)
	}
	place := "the only member"
	if len(list) > 1 {
		place = fmt.Sprintf("one of the %d members", len(list))
	}
	fmt.Fprintf(a.out, "Member %x in %s becomes %s of a new cluster. What only lost members had is gone.\n", self.ID, dir, place)
	if !force {
		s := &session{app: a}
		if err := s.agree("Are you sure that the other members are lost for good, and will not start with their old folders?", "Aborted recovery"); err != nil {
			return err
		}
	}
	if err := etcdhost.Recover(dir, list); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Recovered. Start the store here and on the other members that are left; all other hosts with empty store folders.\n")
	return nil
}
