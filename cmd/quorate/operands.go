package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// exactly is cobra.ExactArgs with a message that names what the command takes, as its usage line has it.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		_, takes, _ := strings.Cut(c.Use, " ")
		return fmt.Errorf("%s takes %s; %d given", c.CommandPath(), takes, len(args))
	}
}
