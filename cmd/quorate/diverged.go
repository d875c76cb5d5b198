package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/config"
	"quorate/internal/ctl"
	"quorate/internal/node"
)

func init() { constructors = append(constructors, newDivergedCmd) }

func newDivergedCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "diverged",
		Short: "Show and remove what a rewind or a new copy has kept aside",
		Long: `When a member's log has left the cluster's history, Quorate keeps what would be lost before it rewinds the member or gives it a new copy: the
WAL behind the fork, or the whole former data folder. Nothing of it is ever used by itself again. It may be the only copy of commits that
clients were told of: look at the report, get them out (docs/recovery.md), and then remove it.

These commands look at the host that they run on.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDivergedListCmd(a), newDivergedRemoveCmd(a))
	return c
}

func newDivergedListCmd(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "list [CONFIG]",
		Short: "Show what is kept aside on this host, and what the cluster lost with it",
		Args:  atMost(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := parseFormat(format)
			if err != nil {
				return err
			}
			kept, err := a.kept(args)
			if err != nil {
				return err
			}
			if f == ctl.JSON {
				return a.divergedJSON(kept)
			}
			if f == ctl.Pretty && len(kept) == 0 {
				fmt.Fprintln(a.out, "Nothing is kept aside on this host.")
				return nil
			}
			fmt.Fprint(a.out, divergedSheet(kept).Render(f))
			if f == ctl.Pretty {
				a.tellReports(kept)
			}
			return nil
		},
	}
	formatFlag(c, &format, "pretty")
	a.globalFlags(c)
	return c
}

func newDivergedRemoveCmd(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "remove NAME...",
		Short: "Remove what is kept aside, for good",
		Long: `Remove what is kept aside under these names, as list shows them. Where transactions would go that no other copy has, the name has to be typed
again.`,
		Args: atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.removeDiverged(args, force) },
	}
	forceFlag(c, &force)
	a.globalFlags(c)
	return c
}

// ownConfig is the configuration of this host: of an argument, of -c, or where a host's is.
func (a *app) ownConfig(args []string) (*config.Config, error) {
	path := config.DefaultPath
	if a.configFile != "" {
		path = a.configFile
	}
	if len(args) > 0 {
		path = args[0]
	}
	cfg, _, err := config.Load(config.LoadOptions{Path: path, Env: a.env, Host: config.LocalHost(), CalledAsPatroni: a.calledAs == "patroni"})
	return cfg, err
}

// kept finds what is kept on this host.
func (a *app) kept(args []string) ([]node.Aside, error) {
	cfg, err := a.ownConfig(args)
	if err != nil {
		return nil, err
	}
	if !cfg.Roles.Postgres {
		return nil, errors.New("this host has no PostgreSQL (roles: " + cfg.Roles.String() + ")")
	}
	return node.Kept(cfg)
}

func divergedSheet(kept []node.Aside) ctl.Sheet {
	s := ctl.Sheet{Columns: []string{"Name", "Kept", "What", "Size", "Timeline", "Fork", "Transactions"}, Right: []string{"Size", "Timeline", "Transactions"}}
	for _, k := range kept {
		what := "WAL"
		if k.Whole {
			what = "data folder"
		}
		row := []any{filepath.Base(k.Path), k.At.Local().Format("2006-01-02 15:04:05"), what, ctl.Bytes(k.Size()).String(), "", "", "unknown"}
		if r := k.Report; r != nil && r.Lost() {
			row[4], row[5], row[6] = fmt.Sprint(r.Timeline), r.Fork.LSN.String(), fmt.Sprint(r.Transactions)
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// tellReports says in sentences what each holds.
func (a *app) tellReports(kept []node.Aside) {
	for _, k := range kept {
		fmt.Fprintf(a.out, "%s\n  %s\n", k.Path, sentence(k))
	}
}

func sentence(k node.Aside) string {
	switch {
	case k.Err != nil:
		return "its report cannot be read: " + k.Err.Error()
	case k.Report == nil:
		return "it has no report: what it holds is not known"
	}
	return k.Report.String()
}

func (a *app) divergedJSON(kept []node.Aside) error {
	type shown struct {
		Name   string    `json:"name"`
		Path   string    `json:"path"`
		At     time.Time `json:"at"`
		Whole  bool      `json:"whole"`
		Bytes  int64     `json:"bytes"`
		Report any       `json:"report"`
	}
	out := []shown{}
	for _, k := range kept {
		s := shown{Name: filepath.Base(k.Path), Path: k.Path, At: k.At, Whole: k.Whole, Bytes: k.Size()}
		if k.Report != nil {
			s.Report = k.Report
		}
		out = append(out, s)
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s\n", b)
	return nil
}

func (a *app) removeDiverged(names []string, force bool) error {
	cfg, err := a.ownConfig(nil)
	if err != nil {
		return err
	}
	kept, err := a.kept(nil)
	if err != nil {
		return err
	}
	var chosen []node.Aside
	for _, name := range names {
		k, ok := find(kept, name)
		if !ok {
			return fmt.Errorf("%s: nothing of that name is kept on this host; there is: %s", name, strings.Join(keptNames(kept), ", "))
		}
		chosen = append(chosen, k)
	}
	for _, k := range chosen {
		name := filepath.Base(k.Path)
		if !force {
			if err := a.sureToLose(k, name); err != nil {
				return err
			}
		}
		size := k.Size()
		if err := node.RemoveKept(cfg, name); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "removed %s (%s)\n", k.Path, ctl.Bytes(size))
	}
	return nil
}

// sureToLose asks: for a yes, and where commits would go for good, for the name.
func (a *app) sureToLose(k node.Aside, name string) error {
	fmt.Fprintf(a.out, "%s\n  %s\n", k.Path, sentence(k))
	if r := k.Report; r != nil && r.Lost() && r.Transactions == 0 {
		yes, err := a.prompts.confirm("Remove it?")
		if err == nil && !yes {
			err = errAborted
		}
		return err
	}
	typed, err := a.prompts.ask("It may be the only copy of committed transactions. Type its name to remove it for good", nil)
	if err == nil && typed != name {
		err = fmt.Errorf("%q is not its name: nothing was removed", typed)
	}
	return err
}

func find(kept []node.Aside, name string) (node.Aside, bool) {
	for _, k := range kept {
		if k.Path == name || filepath.Base(k.Path) == name {
			return k, true
		}
	}
	return node.Aside{}, false
}

func keptNames(kept []node.Aside) []string {
	out := []string{}
	for _, k := range kept {
		out = append(out, filepath.Base(k.Path))
	}
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}
