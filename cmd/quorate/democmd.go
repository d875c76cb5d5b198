package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/demo"
	"quorate/internal/node"
)

func init() { constructors = append(constructors, newDemoCmd) }

// newDemoCmd is a cluster to look at.
func newDemoCmd(a *app) *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run three hosts on this machine, and show how they fail over",
		Long: `Run a cluster of three hosts on loopback addresses of this machine, with a client that commits all the time, and show it live. Keys kill,
freeze or cut off the primary's host, switch over, and bring everything back. Needs PostgreSQL 13 or newer, and no root.

Without a terminal, lines are printed. With --for it does by itself a switchover, kills the primary's host and brings it back, prints what
was measured, and ends with status 0 if all of that came to its end and no acknowledged commit was lost.

Nothing is left behind: no process, and no folder unless --keep asks for it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Exe, o.Out = node.Executable(), a.out
			o.In, _ = a.in.(*os.File)
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP) // the terminal was closed
			defer stop()
			return demo.Run(ctx, o)
		},
	}
	c.Flags().DurationVar(&o.For, "for", 0*time.Second, "run unattended for so long, and at least until the scenario is over")
	c.Flags().StringVar(&o.Dir, "dir", "", "where to keep the hosts' files: new or empty (default: a temporary folder)")
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the folder in the end")
	c.Flags().BoolVar(&o.Plain, "plain", false, "print lines on a terminal too")
	c.Flags().StringVar(&o.BinDir, "bin-dir", "", "where PostgreSQL's programs are (default: where distributions put them)")
	return c
}
