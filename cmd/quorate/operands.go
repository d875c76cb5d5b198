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
		return miscounted(c, args)
	}
}

// atLeast is cobra.MinimumNArgs with such a message.
func atLeast(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		return miscounted(c, args)
	}
}

// atMost is cobra.MaximumNArgs with such a message.
func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return miscounted(c, args)
	}
}

func miscounted(c *cobra.Command, args []string) error {
	_, takes, _ := strings.Cut(c.Use, " ")
	return fmt.Errorf("%s takes %s; %d given", c.CommandPath(), takes, len(args))
}
