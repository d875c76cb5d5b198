package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/internal/ctl"
)

func newMemberCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "member",
		Short: "Show and change the members of the store",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newMemberListCmd(a), newMemberAddCmd(a), newMemberPromoteCmd(a), newMemberUpdateCmd(a),
		newMemberRemoveCmd(a), newMemberReplaceCmd(a), newMemberMoveLeaderCmd(a), newMemberRecoverCmd(a))
	return c
}

func newMemberListCmd(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "list",
		Short: "Show the members of the store",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := parseFormat(format)
			if err != nil {
				return err
			}
			return a.onStore(c.Context(), func(ctx context.Context, db *clientv3.Client) error {
				r, err := db.MemberList(ctx)
				if err != nil {
					return err
				}
				fmt.Fprint(a.out, memberSheet(r.Members, leaderID(ctx, db)).Render(f))
				return nil
			})
		},
	}
	formatFlag(c, &format, "pretty")
	a.globalFlags(c)
	return c
}

// leaderID asks whoever answers; 0 when nobody knows.
func leaderID(ctx context.Context, db *clientv3.Client) uint64 {
	for _, e := range db.Endpoints() {
		if st, err := db.Status(ctx, e); err == nil && st.Leader != 0 {
			return st.Leader
		}
	}
	return 0
}

func memberSheet(members []*pb.Member, leader uint64) ctl.Sheet {
	sheet := ctl.Sheet{Title: " Store ", Columns: []string{"ID", "Name", "Status", "Role", "Peer", "Client"}}
	slices.SortFunc(members, func(a, b *pb.Member) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range members {
		status, role := "started", "voter"
		if m.Name == "" {
			status = "unstarted"
		}
		switch {
		case m.IsLearner:
			role = "learner"
		case m.ID == leader:
			role = "leader"
		}
		sheet.Rows = append(sheet.Rows, []any{
			fmt.Sprintf("%x", m.ID), m.Name, status, role, strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","),
		})
	}
	return sheet
}

func newMemberAddCmd(a *app) *cobra.Command {
	var voter bool
	c := &cobra.Command{
		Use:   "add PEER-URL...",
		Short: "Admit a host to the store, as a learner",
		Long:  "Admit a host to the store. It joins as a learner, which holds all data and has no vote, and is promoted when it keeps up.",
		Args:  atLeast(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onStore(c.Context(), func(ctx context.Context, db *clientv3.Client) error {
				add := db.MemberAddAsLearner
				if voter {
					add = db.MemberAdd
				}
				r, err := add(ctx, args)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.out, "Member %x added\n", r.Member.ID)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&voter, "voter", false, "as a voter at once; until it has caught up the store is less available")
	a.globalFlags(c)
	return c
}

func newMemberPromoteCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "promote MEMBER",
		Short: "Make a learner a voter",
		Args:  exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onStoreMember(c.Context(), args[0], func(ctx context.Context, db *clientv3.Client, m *pb.Member) error {
				if _, err := db.MemberPromote(ctx, m.ID); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "Member %x (%s) promoted\n", m.ID, m.Name)
				return nil
			})
		},
	}
	a.globalFlags(c)
	return c
}

func newMemberRemoveCmd(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "remove MEMBER",
		Short: "Dismiss a host from the store",
		Args:  exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onStoreMember(c.Context(), args[0], func(ctx context.Context, db *clientv3.Client, m *pb.Member) error {
				if _, err := db.MemberRemove(ctx, m.ID); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "Member %x (%s) removed\n", m.ID, m.Name)
				return nil
			}, a.sureToRemove(force))
		},
	}
	forceFlag(c, &force)
	a.globalFlags(c)
	return c
}

func newMemberReplaceCmd(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "replace DEAD-MEMBER PEER-URL",
		Short: "Dismiss a dead host from the store and admit another in its place",
		Long: `Dismiss a dead host from the store and admit another in its place: remove and add in one. The new host then starts with an empty
folder ("quorate etcd" with --initial-cluster-state existing), joins as a learner and gets its vote when it keeps up.

A host that comes back at the address of the dead one, with an empty folder, needs no command at all.`,
		Args: exactly(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onStoreMember(c.Context(), args[0], func(ctx context.Context, db *clientv3.Client, m *pb.Member) error {
				return a.replaceMember(ctx, db, m, args[1])
			}, a.sureToRemove(force))
		},
	}
	forceFlag(c, &force)
	a.globalFlags(c)
	return c
}

// aliveTimeout bounds the question whether a member that is to be replaced is dead.
const aliveTimeout = 2 * time.Second

func (a *app) replaceMember(ctx context.Context, db *clientv3.Client, m *pb.Member, url string) error {
	for _, u := range m.ClientURLs {
		c, cancel := context.WithTimeout(ctx, aliveTimeout)
		_, err := db.Status(c, u)
		cancel()
		if err == nil {
			return fmt.Errorf("%s (%x) answers at %s: it is not dead. Remove it by \"quorate member remove\" if it shall go all the same", m.Name, m.ID, u)
		}
	}
	if _, err := db.MemberRemove(ctx, m.ID); err != nil {
		return err
	}
	r, err := db.MemberAdd(ctx, []string{url})
	if err != nil {
		return fmt.Errorf("%s (%x) is removed, and %s could not be added: %w. Go on with \"quorate member add --voter %s\"", m.Name, m.ID, url, err, url)
	}
	fmt.Fprintf(a.out, "Member %x (%s) removed, member %x added: start the host at %s with an empty folder\n", m.ID, m.Name, r.Member.ID, url)
	return nil
}

func (a *app) sureToRemove(force bool) func(*pb.Member) error {
	return func(m *pb.Member) error {
		if force {
			return nil
		}
		s := &session{app: a}
		return s.agree(fmt.Sprintf("Are you sure you want to remove %s (%x) from the store?", m.Name, m.ID), "Aborted removal")
	}
}

// onStore runs something on the store that the configuration names.
func (a *app) onStore(ctx context.Context, do func(ctx context.Context, db *clientv3.Client) error) error {
	s, err := a.connect("")
	if err != nil {
		return err
	}
	return s.withStore(ctx, do)
}

// onStoreMember finds a member of the store by name or id, runs the checks, which may ask a person and take their time, and then the
// change.
func (a *app) onStoreMember(ctx context.Context, who string, do func(ctx context.Context, db *clientv3.Client, m *pb.Member) error,
	checks ...func(*pb.Member) error,
) error {
	var found *pb.Member
	err := a.onStore(ctx, func(ctx context.Context, db *clientv3.Client) (err error) {
		r, err := db.MemberList(ctx)
		if err != nil {
			return err
		}
		found, err = findMember(r.Members, who)
		return err
	})
	if err != nil {
		return err
	}
	for _, check := range checks {
		if err := check(found); err != nil {
			return err
		}
	}
	return a.onStore(ctx, func(ctx context.Context, db *clientv3.Client) error { return do(ctx, db, found) })
}

func findMember(members []*pb.Member, who string) (*pb.Member, error) {
	id, hexErr := strconv.ParseUint(strings.TrimPrefix(who, "0x"), 16, 64)
	var names []string
	for _, m := range members {
		if m.Name == who || hexErr == nil && m.ID == id {
			return m, nil
		}
		names = append(names, fmt.Sprintf("%s (%x)", m.Name, m.ID))
	}
	return nil, fmt.Errorf("there is no member %s; there are: %s", who, strings.Join(names, ", "))
}
