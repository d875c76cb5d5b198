package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

// patroniVersion is the version whose interfaces Quorate has.
const patroniVersion = "4.1.4"

func newVersionCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "version [CLUSTER [MEMBER...]]",
		Short: "Show the version of this program, and of a cluster's members",
		RunE: func(c *cobra.Command, args []string) error {
			if a.calledAs == "patronictl" || a.calledAs == "patroni" {
				fmt.Fprintf(a.out, "%s version %s\n", a.calledAs, patroniVersion)
			} else {
				fmt.Fprintf(a.out, "quorate version %s\n", version())
			}
			if len(args) == 0 {
				return nil
			}
			fmt.Fprintln(a.out)
			return a.memberVersions(c.Context(), args[0], args[1:])
		},
	}
	a.globalFlags(c)
	return c
}

func (a *app) memberVersions(ctx context.Context, scope string, names []string) error {
	s, err := a.connect(scope)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	failed := false
	for _, name := range names {
		if c.Member(name) == nil {
			fmt.Fprintf(a.out, "%s: failed to get version: it is no member of the cluster %s\n", name, c.Name)
			failed = true
		}
	}
	for _, m := range c.Members {
		if len(names) > 0 && !slices.Contains(names, m.Name) {
			continue
		}
		status, err := s.client.Status(ctx, m.APIURL)
		if err != nil {
			fmt.Fprintf(a.out, "%s: failed to get version: %v\n", m.Name, err)
			failed = true
			continue
		}
		pg := ""
		if status.ServerVersion != 0 {
			pg = " PostgreSQL " + ctl.PostgresVersion(status.ServerVersion)
		}
		fmt.Fprintf(a.out, "%s: Patroni %s%s\n", m.Name, status.Patroni.Version, pg)
	}
	if failed {
		return errFailed
	}
	return nil
}

// release is what scripts/package writes into the program that it packs: the package's version.
var release string

// version is this build's: the package's, else the module's, and the commit where it is known.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" && len(s.Value) >= 12 {
			v = "devel-" + s.Value[:12]
		}
	}
	return v
}
