package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestManualHasEveryCommand goes through the tree by itself: a command that people can call has its part of quorate(1).
func TestManualHasEveryCommand(t *testing.T) {
	root := newRoot(&app{calledAs: "quorate"})
	var out bytes.Buffer
	if err := manual(&out, root); err != nil {
		t.Fatal(err)
	}
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if c.Runnable() && c.IsAvailableCommand() && !c.HasSubCommands() && !strings.Contains(out.String(), "\n.SS "+roff(c.CommandPath())) {
			t.Errorf("%s is not in the manual", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" && !sub.Hidden {
				check(sub)
			}
		}
	}
	check(root)
	for i, line := range strings.Split(out.String(), "\n") {
		macro, _, _ := strings.Cut(line, " ")
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.Contains(" .TH .SH .SS .TP .PP .B .I .BR .IR .RI .br ", " "+macro+" ") {
			t.Errorf("line %d would be taken for an instruction: %s", i+1, line)
		}
	}
	if strings.Contains(out.String(), "fence \\-\\-state") {
		t.Error("a hidden command is in the manual")
	}
}
