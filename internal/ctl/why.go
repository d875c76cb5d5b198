package ctl

import (
	"slices"
	"strings"
	"time"

	"quorate/api/client"
)

// MemberDecision is a decision and whose it was.
type MemberDecision struct {
	Member string
	client.Decision
}

// Decisions are the last n decisions of all members by time, as members' clocks have it; n of 0 or less: all.
func Decisions(all []MemberDecision, n int, zone *time.Location) Sheet {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b MemberDecision) int { return a.At.Compare(b.At) })
	all = withoutEchoes(all)
	if n > 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	s := Sheet{Columns: []string{"Time", "Member", "Reason", "Decision", "Actions"}}
	for _, d := range all {
		s.Rows = append(s.Rows, []any{
			d.At.In(zone).Format("2006-01-02 15:04:05.000"), d.Member, d.Reason, d.Text, strings.Join(d.Actions, ", "),
		})
	}
	return s
}

// withoutEchoes leaves out what says again what the same member said last, and did nothing. all is in order of time.
func withoutEchoes(all []MemberDecision) []MemberDecision {
	last := map[string]string{}
	return slices.DeleteFunc(all, func(d MemberDecision) bool {
		echo := last[d.Member] == d.Reason+" "+d.Text && len(d.Actions) == 0
		last[d.Member] = d.Reason + " " + d.Text
		return echo
	})
}
