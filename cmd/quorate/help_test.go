package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// --help of every command keeps within its width, and no command is without a group.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	a := &app{calledAs: "quorate", stdio: stdio{out: &out, err: &out}}
	root := newRoot(a)
	root.InitDefaultCompletionCmd()
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Parent() != nil && c.Parent().Name() == "completion" {
			return
		}
		if c.Parent() == root && c.GroupID == "" {
			t.Errorf("%s has no group", c.Name())
		}
		out.Reset()
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > widestHelp && c.Name() != "etcd" {
				t.Errorf("%s: %d columns: %s", c.CommandPath(), n, line)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if name := valueName(f); !f.Hidden && (name == "STRING" || name == "FLOAT64" || name == "INT" || name == "STRINGARRAY") {
				t.Errorf("%s: what --%s takes has no name", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(root)
}

func TestReflow(t *testing.T) {
	got := reflow("one two\nthree four\n\nThe list:\n  a-name   it is said in more than one line\n  b        short\nThe end.", 24)
	want := "one two three four\n\nThe list:\n  a-name   it is said in\n           more than one\n           line\n  b        short\nThe end."
	if got != want {
		t.Errorf("found:\n%s\nexpected:\n%s", got, want)
	}
}
