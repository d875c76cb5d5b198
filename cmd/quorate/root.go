package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/internal/etcdsrv"
)

// The exit codes, as patronictl's, except that a request which a member refuses is a failure too.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	bySignal   = 128 // and the signal's number
)

// stdio are the three streams of a process.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// app is what all commands share: the streams, the environment and the options in front of the command.
type app struct {
	stdio
	env      map[string]string
	calledAs string // quorate, patroni, patronictl or etcd
	now      func() time.Time
	prompts  *prompts
	resolver etcdsrv.Resolver // nil: the system's

	configFile string
	dcsURL     string
	insecure   bool

	toldNowhere bool // that there is no configuration

	parsed bool // the command line was understood; later errors are no usage errors
}

// constructors make the commands, one a line. A group of commands has a file of its own.
var constructors = []func(*app) *cobra.Command{
	newListCmd,
	newTopologyCmd,
	newHistoryCmd,
	newShowConfigCmd,
	newEditConfigCmd,
	newSwitchoverCmd,
	newFailoverCmd,
	newRestartCmd,
	newReloadCmd,
	newReinitCmd,
	newFlushCmd,
	newPauseCmd,
	newResumeCmd,
	newDemoteClusterCmd,
	newPromoteClusterCmd,
	newDSNCmd,
	newQueryCmd,
	newForgetCmd,
	newRemoveCmd,
	newMemberCmd,
	newSnapshotCmd,
	newEtcdCmd,
	newWhyCmd,
	newProxyCmd,
	newVersionCmd,
	newValidateConfigCmd,
	newGenerateConfigCmd,
}

// exitError ends the process with a code and without a further word.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usageError is a value on the command line that is none of those which its option takes. Like any other misuse, and as with patronictl, it ends the
// program with [exitUsage].
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errFailed is the end of a command that has said already what went wrong.
const errFailed = exitError(exitFailed)

// run is the whole program but for the end of the process.
func run(args []string, io stdio, environ []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{
		stdio:    io,
		env:      config.Environ(environ),
		calledAs: filepath.Base(args[0]),
		now:      time.Now,
		prompts:  newPrompts(ctx.Done(), io.in, io.out),
	}
	root := newRoot(a)
	root.SetArgs(multicall(a.calledAs, args[1:]))
	return a.exitCode(root.ExecuteContext(ctx))
}

// newRoot is the command line.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:               "quorate",
		Short:             "PostgreSQL high availability in one binary",
		SilenceErrors:     true,
		SilenceUsage:      true,
		TraverseChildren:  true,
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { a.parsed = true; return nil },
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	if a.calledAs == "patronictl" {
		root.Use = a.calledAs
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpFunc(a.help)
	root.SetUsageFunc(usage)
	a.globalFlags(root)
	for _, make := range constructors {
		root.AddCommand(make(a))
	}
	group(root)
	return root
}

// globalFlags adds the options that patronictl takes in front of the command. Ours are understood behind it too, except where a
// command gives the letter another meaning.
func (a *app) globalFlags(c *cobra.Command) {
	for _, f := range []struct{ name, letter, help string }{
		{"config-file", "c", "configuration: a file, or a folder of *.yml"},
		{"dcs-url", "d", "where the cluster's state is, in place of the configuration's: etcd3://host:port/namespace"},
	} {
		target := &a.configFile
		if f.name == "dcs-url" {
			target = &a.dcsURL
		}
		if c.Flags().ShorthandLookup(f.letter) == nil {
			c.Flags().StringVarP(target, f.name, f.letter, *target, f.help)
		} else {
			c.Flags().StringVar(target, f.name, *target, f.help)
		}
	}
	if c.Flags().Lookup("dcs") == nil {
		c.Flags().StringVar(&a.dcsURL, "dcs", a.dcsURL, "the same as --dcs-url")
		_ = c.Flags().MarkHidden("dcs")
	}
	if c.Flags().Lookup("group") == nil {
		c.Flags().Var(noGroup{}, "group", "refused: there are no Citus groups")
		_ = c.Flags().MarkHidden("group")
	}
	c.Flags().BoolVarP(&a.insecure, "insecure", "k", false, "do not verify the certificates of members")
}

// noGroup is patronictl's option --group. It is known, so that whoever gives it learns why it is of no use.
type noGroup struct{}

func (noGroup) String() string { return "" }
func (noGroup) Type() string   { return "int" }
func (noGroup) Set(string) error {
	return errors.New("there are no Citus groups here: leave --group out, and name the cluster by its scope")
}

// multicall turns the command line of another program into ours.
func multicall(calledAs string, args []string) []string {
	switch calledAs {
	case "patroni":
		return patroniArgs(args)
	case "etcd":
		return append([]string{"etcd"}, args...)
	}
	return args
}

// patroniArgs are the options of patroni itself, each of which is a command here.
func patroniArgs(args []string) []string {
	for i, arg := range args {
		rest := append(append([]string{}, args[:i]...), args[i+1:]...)
		switch arg {
		case "--version":
			return []string{"version"}
		case "--validate-config":
			return append([]string{"validate-config"}, rest...)
		case "--generate-sample-config":
			return append([]string{"generate-config", "--sample"}, rest...)
		case "--generate-config":
			return append([]string{"generate-config"}, rest...)
		}
	}
	return append([]string{"run"}, args...)
}

// exitCode says what went wrong and how the process shall end.
func (a *app) exitCode(err error) int {
	var code exitError
	var misused usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, errAborted), errors.Is(err, context.Canceled):
		fmt.Fprintln(a.err, "Aborted!")
		return exitFailed
	case !a.parsed, errors.As(err, &misused):
		fmt.Fprintf(a.err, "Error: %v\nTry '%s --help' for help.\n", err, a.calledAs)
		return exitUsage
	}
	a.complain(err)
	return exitFailed
}

// complain prints an error; what a store's hosts said goes without what gRPC says around it.
func (a *app) complain(err error) {
	text := err.Error()
	if strings.Contains(text, "rpc error: code = ") {
		text = dcsclient.Words(err)
	}
	fmt.Fprintf(a.err, "Error: %s\n", strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "no answer in time"))
}
