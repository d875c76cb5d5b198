package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

func newDSNCmd(a *app) *cobra.Command {
	var role, member string
	c := &cobra.Command{
		Use:   "dsn [CLUSTER]",
		Short: "Show how to connect to a member, the leader unless told otherwise",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.connect(firstOf(args))
			if err != nil {
				return err
			}
			cluster, err := s.cluster(c.Context())
			if err != nil {
				return err
			}
			m, err := pick(cluster, role, member)
			if err != nil {
				return err
			}
			if m == nil || m.Host == "" {
				return said("Can not find a suitable member")
			}
			fmt.Fprintf(a.out, "host=%s port=%d\n", m.Host, m.Port)
			return nil
		},
	}
	roleFlag(c, &role, "", "any member of this role")
	c.Flags().StringVarP(&member, "member", "m", "", "this member")
	a.globalFlags(c)
	return c
}

// pick is the first member of a role, or the member of a name; the leader if neither is given. Nil when there is none.
func pick(c ctl.Cluster, role, member string) (*client.Member, error) {
	switch {
	case member != "" && role != "":
		return nil, errors.New("--role and --member are mutually exclusive options")
	case member != "":
		return c.Member(member), nil
	case role == "":
		role = "leader"
	}
	if found := withRole(c, role); len(found) > 0 {
		return &found[0], nil
	}
	return nil, nil
}
