package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quorate/internal/ctl"
)

// hostGroup is the title of the commands with which a host is run; completion is set up there, too.
const hostGroup = "Run a host"

// groups are the commands by what they are wanted for, in the order in which --help shows them.
var groups = []struct {
	title    string
	commands []string
}{
	{"Look at a cluster", []string{"list", "topology", "why", "doctor", "history", "proxy", "show-config", "dsn", "query", "version"}},
	{"Change who leads", []string{"switchover", "failover", "demote-cluster", "promote-cluster"}},
	{"Look after its members", []string{"restart", "reload", "reinit", "flush", "pause", "resume", "edit-config", "diverged", "game-day", "forget", "remove"}},
	{hostGroup, []string{"run", "demo", "upgrade", "validate-config", "generate-config", "completion"}},
	{"The store", []string{"member", "snapshot", "etcd"}},
}

// group puts the commands into their groups.
func group(root *cobra.Command) {
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range root.Commands() {
			if slices.Contains(g.commands, c.Name()) {
				c.GroupID = g.title
			}
		}
	}
	root.SetCompletionCommandGroupID(hostGroup)
}

// whereOptions are those by which every command finds the cluster. They stand apart from a command's own.
var whereOptions = []string{"config-file", "dcs-url", "insecure"}

// widestHelp is how wide the text of --help becomes, on a terminal that is wider, too.
const widestHelp = 100

// help prints what a command is for, and how it is called.
func (a *app) help(c *cobra.Command, _ []string) {
	width := min(textWidth(c.OutOrStdout()), widestHelp)
	fmt.Fprintf(c.OutOrStdout(), "%s\n\n", reflow(cmp.Or(c.Long, c.Short), width))
	_ = c.Usage()
}

// usage prints how a command is called.
func usage(c *cobra.Command) error {
	out := c.OutOrStdout()
	width := min(textWidth(out), widestHelp)
	fmt.Fprintln(out, "Usage:")
	if c.Runnable() {
		fmt.Fprintf(out, "  %s\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(out, "  %s COMMAND\n", c.CommandPath())
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(out, "\nAliases:\n  %s\n", c.NameAndAliases())
	}
	commands(out, c)
	own, where := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		shown := *f
		if name := valueName(f); name != "" {
			shown.Value, shown.DefValue = named{f.Value, name}, shownDefault(f)
		}
		if c.HasParent() && slices.Contains(whereOptions, f.Name) {
			where.AddFlag(&shown)
			return
		}
		own.AddFlag(&shown)
	})
	if own.HasAvailableFlags() {
		fmt.Fprintf(out, "\nOptions:\n%s", own.FlagUsagesWrapped(width))
	}
	if where.HasAvailableFlags() {
		fmt.Fprintf(out, "\nWhere the cluster is:\n%s", where.FlagUsagesWrapped(width))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\nUse \"%s COMMAND --help\" for more about a command.\n", c.CommandPath())
	}
	return nil
}

// commands lists the commands below one, in their groups where they have any.
func commands(out io.Writer, c *cobra.Command) {
	list := func(title, id string) {
		first := true
		for _, sub := range c.Commands() {
			if !sub.IsAvailableCommand() || sub.GroupID != id || sub.Name() == "help" {
				continue
			}
			if first {
				fmt.Fprintf(out, "\n%s:\n", title)
				first = false
			}
			fmt.Fprintf(out, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
		}
	}
	for _, g := range c.Groups() {
		list(g.Title, g.ID)
	}
	list("Commands", "")
}

// reflow fills the paragraphs of a text. Lines that are moved in are a list, and stay lines: what goes on in another one stands below its second column.
func reflow(text string, width int) string {
	var out, paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			out = append(out, ctl.Wrap(strings.Join(paragraph, " "), width, 0))
			paragraph = nil
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		item := strings.TrimLeft(line, " ")
		if item != "" && item == line {
			paragraph = append(paragraph, line)
			continue
		}
		flush()
		if item == "" {
			out = append(out, "")
			continue
		}
		by := len(line) - len(item)
		if name, rest, ok := strings.Cut(item, "  "); ok {
			by += len(name) + len("  ") + len(rest) - len(strings.TrimLeft(rest, " "))
		}
		out = append(out, line[:by]+ctl.Wrap(line[by:], width, by))
	}
	flush()
	return strings.Join(out, "\n")
}

// valueNames are what options take, where the type of the value does not tell.
var valueNames = map[string]string{
	"apply": "FILE", "bin-dir": "FOLDER", "candidate": "MEMBER", "command": "SQL", "config-file": "FILE", "data-dir": "FOLDER", "dbname": "NAME",
	"dcs-url": "URL", "delimiter": "TEXT", "dir": "FOLDER", "drills": "DRILL,...", "dsn": "DSN", "file": "FILE", "format": "FORMAT", "host": "HOST",
	"last": "N", "leader": "MEMBER", "member": "MEMBER", "peer-address": "HOST:PORT", "pg": "NAME=VALUE", "pg-version": "VERSION", "port": "PORT",
	"primary": "MEMBER", "primary-slot-name": "NAME", "replace": "FILE", "restore-command": "COMMAND", "role": "ROLE", "roles": "ROLE,...",
	"scheduled": "TIME", "set": "NAME=VALUE", "survivor": "ID@HOST:PORT", "timeout": "SECONDS", "username": "NAME", "watch": "SECONDS",
}

// valueName is what an option takes; "" is nothing.
func valueName(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return ""
	case "duration":
		return "DURATION"
	}
	return cmp.Or(valueNames[f.Name], strings.ToUpper(f.Value.Type()))
}

// shownDefault is what an option is when it is not given; "" is nothing worth telling.
func shownDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "false", "[]", "0", "0s":
		return ""
	case "\t":
		return "a tab"
	}
	return f.DefValue
}

// named is an option's value under the name of what it takes.
type named struct {
	pflag.Value
	name string
}

func (n named) Type() string { return n.name }
