package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

func newHistoryCmd(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "history [CLUSTER]",
		Short: "Show the promotions of a cluster",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := parseFormat(format)
			if err != nil {
				return err
			}
			s, err := a.connect(firstOf(args))
			if err != nil {
				return err
			}
			return s.history(c, f)
		},
	}
	formatFlag(c, &format, "pretty")
	a.globalFlags(c)
	return c
}

func (s *session) history(c *cobra.Command, f ctl.Format) error {
	cluster, err := s.cluster(c.Context())
	if err != nil {
		return err
	}
	lines, err := s.promotions(c.Context(), cluster)
	if err != nil {
		return err
	}
	sheet := ctl.Sheet{
		Columns: []string{"TL", "LSN", "Reason", "Timestamp", "New Leader"},
		Right:   []string{"TL", "LSN"},
	}
	for _, line := range lines {
		row := []any(line)
		for len(row) < len(sheet.Columns) {
			row = append(row, "")
		}
		sheet.Rows = append(sheet.Rows, row[:len(sheet.Columns)])
	}
	fmt.Fprint(s.out, sheet.Render(f))
	return nil
}

// firstOf is the first argument, "" when there is none.
func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
