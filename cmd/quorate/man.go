package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func init() { constructors = append(constructors, newManCmd) }

// newManCmd prints the manual page; the package is built with it.
func newManCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "man", Short: "Print the manual page", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return manual(a.out, c.Root()) },
	}
}

// manual writes quorate(1): all commands on one page, from what --help says, in man(7)'s macros.
func manual(out io.Writer, root *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH QUORATE 1 \"\" \"Quorate %s\" \"PostgreSQL high availability\"\n.SH NAME\nquorate \\- %s\n", roff(version()), roff(root.Short))
	b.WriteString(".SH SYNOPSIS\n.B quorate\n.RI [ options ]\n.I command\n.RI [ arguments ]\n")
	b.WriteString(manAbout)
	b.WriteString(".SH COMMANDS\n")
	manCommands(&b, root, "quorate")
	b.WriteString(".SH OPTIONS OF ALL COMMANDS\n")
	manFlags(&b, root.LocalFlags(), nil)
	b.WriteString(manRest)
	_, err := io.WriteString(out, b.String())
	return err
}

const manAbout = `.SH DESCRIPTION
Quorate keeps a PostgreSQL cluster writable. Each host runs one program, which carries a consensus store with etcd's API (ports 2379 and
2380), a failover manager with Patroni's configuration, REST API and commands (8008), and a TCP router (5000 to the primary, 5001 to the
replicas). Hosts find each other by gossip (7946, TCP and UDP).
.PP
Called through a link named patroni, patronictl or etcd it takes that program's command line.
`

const manRest = `.SH ENVIRONMENT
.TP
.B PATRONI_*
each setting of Patroni that has a variable: PATRONI_SCOPE, PATRONI_POSTGRESQL_DATA_DIR. They win over the configuration's files, and will do
without any. PATRONI_CONFIGURATION holds a whole configuration as text; the others are then passed over.
.TP
.B QUORATE_*
the settings of the sections store, gossip and proxy, and of roles: QUORATE_STORE_EXPECT, QUORATE_ROLES.
.TP
.BR PATRONICTL_CONFIG_FILE ", " DCS_URL
the options \-\-config\-file and \-\-dcs\-url of the commands.
.SH FILES
.TP
.I /etc/quorate/quorate.yml
the configuration of a host: Patroni's YAML, and the sections store, gossip, proxy. A folder of *.yml will do too.
.TP
.I /etc/default/quorate
the environment of the service: PATRONI_ and QUORATE_ variables, and OPTIONS of run.
.TP
.I /var/lib/quorate/store
the store's data.
.TP
.IR data_dir .quorate
beside PostgreSQL's data folder: what the agent and its fence keep about it, and the WAL kept aside after a divergence.
.SH EXIT STATUS
0 success, 1 failure (also of a request that a member refuses), 2 wrong usage. doctor: 0 no danger, 1 danger, 2 it could not run.
.SH SIGNALS OF RUN
SIGTERM hands over, stops PostgreSQL and ends; SIGHUP reads the configuration again; SIGUSR2 replaces the process by the program on disk, as
upgrade does.
.SH SEE ALSO
.I /usr/share/doc/quorate/docs
has operations.md, recovery.md, router.md, security.md and more.
.PP
.BR psql (1),
.BR pg_rewind (1),
.BR pg_basebackup (1)
`

// manCommands describes the commands below one, each under its whole name.
func manCommands(b *strings.Builder, parent *cobra.Command, prefix string) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if c.HasAvailableSubCommands() && c.Name() != "completion" {
			manCommands(b, c, prefix+" "+c.Name())
			continue
		}
		fmt.Fprintf(b, ".SS %s %s\n%s", roff(prefix), roff(c.Use), manText(c))
		manFlags(b, c.LocalFlags(), parent.Root().LocalFlags())
	}
}

func manText(c *cobra.Command) string {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	var b strings.Builder
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == "":
			b.WriteString(".PP\n")
		case strings.HasPrefix(line, "  "):
			fmt.Fprintf(&b, ".br\n%s\n", roff(line))
		default:
			b.WriteString(roff(line) + "\n")
		}
	}
	return b.String()
}

// manFlags describes options, but for those that every command has.
func manFlags(b *strings.Builder, flags, common *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || common != nil && common.Lookup(f.Name) != nil {
			return
		}
		name := "\\-\\-" + roff(f.Name)
		if f.Shorthand != "" {
			name = "\\-" + f.Shorthand + ", " + name
		}
		kind, usage := valueName(f), f.Usage
		if kind != "" {
			name += " \\fI" + roff(kind) + "\\fR"
		}
		if is := shownDefault(f); is != "" {
			usage += " (default " + is + ")"
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n%s\n", name, roff(usage))
	})
}

// roff writes text so that none of it is taken for an instruction.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
