package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/ctl"
	"quorate/internal/doctor"
	"quorate/internal/doctor/gather"
)

func init() { constructors = append(constructors, newDoctorCmd) }

func newDoctorCmd(a *app) *cobra.Command {
	var format string
	var syncFor time.Duration
	c := &cobra.Command{
		Use:   "doctor [CONFIG]",
		Short: "Check this host and the cluster, and say what to do",
		Long: `Check this host and the cluster as it sees it, before it goes into service and in service, and say what to do in the order of danger: what
can lose data or the service first. Logins and ports are tried from this host: run it on each.

It changes nothing. On each disk it measures it writes and removes one small file, for --sync-time at most. As root, or as the user of
PostgreSQL, it sees most.

Exit status: 0 no danger (there may be warnings), 1 something is dangerous, 2 it could not run (a wrong configuration).

The rules:
` + ruleList(),
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := parseFormat(format)
			if err != nil {
				return err
			}
			cfg, err := a.doctorConfig(args)
			if err != nil {
				a.complain(err)
				return exitError(exitUsage)
			}
			s, err := a.doctorClient(cfg)
			if err != nil {
				a.complain(err)
				return exitError(exitUsage)
			}
			defer s.Close()
			facts := gather.Gather(c.Context(), gather.Options{Config: cfg, Client: s, SyncFor: syncFor})
			return a.tellReport(facts, doctor.Diagnose(facts), f)
		},
	}
	formatFlag(c, &format, "pretty")
	c.Flags().DurationVar(&syncFor, "sync-time", 2*time.Second, "how long to measure each disk")
	a.globalFlags(c)
	return c
}

// ruleList is the help's list of what is looked at.
func ruleList() string {
	var b strings.Builder
	for _, r := range doctor.Rules() {
		fmt.Fprintf(&b, "  %-18s %s\n", r.Code, r.Looks)
	}
	return strings.TrimRight(b.String(), "\n")
}

// doctorConfig is the host's configuration, as run would take it; the members are found by the same one.
func (a *app) doctorConfig(args []string) (*config.Config, error) {
	if len(args) > 0 {
		a.configFile = args[0]
	}
	return a.ownConfig(nil)
}

// doctorClient reaches the members that the configuration names.
func (a *app) doctorClient(cfg *config.Config) (*client.Client, error) {
	c, _, err := config.LoadClient(config.LoadOptions{Path: cmp.Or(a.configFile, config.DefaultPath), Env: a.env})
	if err != nil {
		return nil, err
	}
	t, err := a.memberTLS(c)
	if err != nil {
		return nil, err
	}
	s := &session{app: a, cfg: c, scope: cfg.Scope, tls: t}
	return client.New(s.options(c.Members)), nil
}

// tellReport prints the report; danger fails the command.
func (a *app) tellReport(facts *doctor.Facts, r doctor.Report, f ctl.Format) error {
	switch f {
	case ctl.Pretty:
		printReport(a.out, facts, r, isTerminal(a.out))
	case ctl.JSON:
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s\n", b)
	default:
		s := ctl.Sheet{Columns: []string{"Level", "Rule", "Where", "Finding", "Remedy"}}
		for _, x := range r.Findings {
			s.Rows = append(s.Rows, []any{x.Level.String(), x.Code, x.Where, x.Text, x.Remedy})
		}
		fmt.Fprint(a.out, s.Render(f))
	}
	if r.Worst() == doctor.Danger {
		return errFailed
	}
	return nil
}

// marks stand in front of findings.
var marks = map[doctor.Level]struct{ word, colour string }{
	doctor.Danger:  {"DANGER ", "\x1b[1;31m"},
	doctor.Warning: {"warning", "\x1b[33m"},
	doctor.Note:    {"note   ", "\x1b[36m"},
	doctor.Unknown: {"unknown", "\x1b[2m"},
}

func printReport(out io.Writer, facts *doctor.Facts, r doctor.Report, colour bool) {
	width := textWidth(out)
	for _, x := range r.Findings {
		m := marks[x.Level]
		on, off := "", ""
		if colour {
			on, off = m.colour, "\x1b[0m"
		}
		where := x.Where
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(out, "%s%s%s  %s\n", on, m.word, off, ctl.Wrap(x.Code+"  "+where+x.Text, width, 9))
		if x.Remedy != "" {
			fmt.Fprintf(out, "         -> %s\n", ctl.Wrap(x.Remedy, width, 12))
		}
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(out)
	}
	for _, d := range facts.Disks() {
		if d.Sync != nil {
			fmt.Fprintf(out, "%-5s %s: %s to keep a record (median), %s in 99 of 100; %.0f%% free\n", d.Use, d.Path,
				millis(d.Sync.P50), millis(d.Sync.P99), float64(d.Free)/float64(max(1, d.Total))*100)
		}
	}
	fmt.Fprintf(out, "%s, %s, %s, %d not looked at; %s found nothing: %s\n", count(r.Count(doctor.Danger), "danger"), count(r.Count(doctor.Warning), "warning"),
		count(r.Count(doctor.Note), "note"), r.Count(doctor.Unknown), count(len(r.Fine), "rule"), ctl.Wrap(strings.Join(r.Fine, ", "), width, 4))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// textWidth is how wide lines may be.
func textWidth(out io.Writer) int {
	const wide = 140
	if width := terminalWidth(out); width > 40 {
		return min(width, wide)
	}
	return wide
}

// terminalWidth is 0 of what is no terminal.
func terminalWidth(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			return int(ws.Col)
		}
	}
	return 0
}
