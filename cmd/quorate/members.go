package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

// roleChoices are the values of --role.
var roleChoices = []string{"leader", "primary", "standby-leader", "replica", "standby", "any"}

// roleFlag adds --role.
func roleFlag(c *cobra.Command, role *string, def, help string) {
	*role = def
	c.Flags().VarP((*roleValue)(role), "role", "r", help+": "+strings.Join(roleChoices, ", "))
}

// roleValue is the value of --role: one of [roleChoices], or master, which scripts from before Patroni 4 say for primary.
type roleValue string

func (v *roleValue) String() string { return string(*v) }
func (v *roleValue) Type() string   { return "string" }
func (v *roleValue) Set(role string) error {
	if role != "master" && !slices.Contains(roleChoices, role) {
		return fmt.Errorf("expected one of %s", strings.Join(roleChoices, ", "))
	}
	*v = roleValue(role)
	return nil
}

func forceFlag(c *cobra.Command, force *bool) {
	c.Flags().BoolVar(force, "force", false, "do not ask for confirmation")
}

// withRole are the members of a role.
func withRole(c ctl.Cluster, role string) []client.Member {
	var out []client.Member
	for _, m := range c.Members {
		standbyLeader := m.Role == "standby_leader"
		var fits bool
		switch role {
		case "any":
			fits = true
		case "leader":
			fits = m.IsLeader()
		case "primary", "master":
			fits = m.IsLeader() && !standbyLeader
		case "standby-leader":
			fits = standbyLeader
		case "replica", "standby":
			fits = !m.IsLeader()
		}
		if fits {
			out = append(out, m)
		}
	}
	return out
}

func namesOf(members []client.Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	return names
}

// selection is what a command for some members was told.
type selection struct {
	args   []string // [CLUSTER] [MEMBER...]
	role   string
	force  bool
	action string // as it stands in questions
}

// memberNames parts the arguments: the cluster's name may be left out, since the members that answer know it. Of a member that does not report a word is
// said, and the error is about it where it is the first: Patroni's commands know nothing of members without a key.
func (s *session) memberNames(ctx context.Context, c ctl.Cluster, args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	var missing map[string]string
	if slices.ContainsFunc(args, func(name string) bool { return name != c.Name && c.Member(name) == nil }) {
		missing = s.missing(ctx, c)
	}
	if args[0] != c.Name && c.Member(args[0]) == nil {
		if missing[args[0]] == "" {
			return nil, fmt.Errorf("%s is neither the cluster (%s) nor a member of it", args[0], c.Name)
		}
		return nil, fmt.Errorf("%s %s", args[0], notReporting)
	}
	if args[0] == c.Name {
		args = args[1:]
	}
	for _, name := range args {
		if missing[name] != "" {
			fmt.Fprintf(s.app.err, "Warning: %s %s\n", name, notReporting)
		}
	}
	return args, nil
}

// notReporting is what is known of a missing member.
const notReporting = "does not report: its key in the store is gone. Look at its host: the agent is down, frozen or cut off"

// missing are the hosts of the cluster that do not report, with their API's URL, as the first member that answers has it; none where none does.
func (s *session) missing(ctx context.Context, c ctl.Cluster) map[string]string {
	for _, url := range c.URLs() {
		missing, err := s.client.Missing(ctx, url)
		if err == nil {
			return missing
		}
	}
	return nil
}

// choose shows the cluster and finds the members that a command is for, and asks where it was not told.
func (s *session) choose(ctx context.Context, c ctl.Cluster, sel selection) ([]client.Member, error) {
	names, err := s.memberNames(ctx, c, sel.args)
	if err != nil {
		return nil, err
	}
	candidates := withRole(c, sel.role)
	if len(names) == 0 && len(candidates) == 0 {
		return nil, fmt.Errorf("%s cluster doesn't have any members", c.Name)
	}
	s.show(c)
	if names, err = s.chosenNames(names, namesOf(candidates), sel); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(candidates, func(m client.Member) bool { return !slices.Contains(names, m.Name) }), nil
}

// chosenNames are those of the members given that an action is possible for. Without any it is for all, except where that would be
// reckless: then a person is asked.
func (s *session) chosenNames(given, known []string, sel selection) ([]string, error) {
	if len(given) > 0 {
		names := slices.DeleteFunc(slices.Clone(given), func(n string) bool { return !slices.Contains(known, n) })
		if len(names) == 0 {
			if sel.action == "reinitialize" { // the one action whose role Patroni does not quote
				return nil, saidf("No %s among provided members", sel.role)
			}
			return nil, saidf("No '%s' among provided members", sel.role)
		}
		if len(names) < len(given) {
			fmt.Fprintf(s.err, "Warning: members that are no %s are left out\n", sel.role)
		}
		return names, nil
	}
	if sel.action != "reinitialize" {
		return known, nil
	}
	if sel.force {
		return nil, nil
	}
	none := ""
	name, err := s.prompts.ask(fmt.Sprintf("Which member do you want to %s [%s]?", sel.action, strings.Join(known, ", ")), &none)
	if err == nil && !slices.Contains(known, name) {
		err = fmt.Errorf("%s is not a member of cluster", name)
	}
	return []string{name}, err
}

// sure asks whether to go on with an action now.
func (s *session) sure(members []client.Member, sel selection) error {
	if sel.force {
		return nil
	}
	return s.agree(fmt.Sprintf("Are you sure you want to %s members %s?", sel.action, strings.Join(namesOf(members), ", ")),
		"Aborted "+sel.action)
}

// agree asks; anything but a yes is an error with the given words.
func (s *session) agree(question, otherwise string) error {
	yes, err := s.prompts.confirm(question)
	if err == nil && !yes {
		err = said(otherwise)
	}
	return err
}

// micro is the moment in front of a line about an action.
func micro(t time.Time) string { return t.Format("2006-01-02 15:04:05.00000") }
