package ctl

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quorate/api/client"
)

// MemberDecision is a decision and whose it was.
type MemberDecision struct {
	Member string
	client.Decision
}

// Decisions are the last n decisions of all members by time, as members' clocks have it; n of 0 or less: all.
func Decisions(all []MemberDecision, n int, zone *time.Location) Sheet {
	s := Sheet{Columns: []string{"Time", "Member", "Reason", "Decision", "Actions"}}
	for _, d := range lastOf(all, n) {
		s.Rows = append(s.Rows, []any{
			d.At.In(zone).Format("2006-01-02 15:04:05.000"), d.Member, d.Reason, d.sentence(), strings.Join(d.Actions, ", "),
		})
	}
	return s
}

// Story tells the last n decisions of all members in lines of no more than width characters where a word allows it: what [Decisions] shows, for a
// terminal on which its table would be folded beyond recognition. What a member does next by the same decision stands under it without its words.
func Story(all []MemberDecision, n int, zone *time.Location, width int) string {
	all = lastOf(all, n)
	member, reason := 0, 0
	for _, d := range all {
		member, reason = max(member, utf8.RuneCountInString(d.Member)), max(reason, utf8.RuneCountInString(d.Reason))
	}
	var b strings.Builder
	day, said := "", MemberDecision{}
	for _, d := range all {
		at := d.At.In(zone)
		if today := at.Format(time.DateOnly); today != day {
			fmt.Fprintln(&b, today)
			day, said = today, MemberDecision{}
		}
		head := fmt.Sprintf("%s %-*s %-*s ", at.Format("15:04:05.000"), member, d.Member, reason, d.Reason)
		by := utf8.RuneCountInString(head)
		b.WriteString(head)
		sentence := d.sentence()
		d.Actions = slices.DeleteFunc(slices.Clone(d.Actions), func(action string) bool { return action == "commit: "+d.Text }) // the sentence says it
		again := said.Member == d.Member && said.Reason == d.Reason && said.Text == d.Text && len(d.Actions) > 0
		if !again {
			b.WriteString(Wrap(sentence, width, by) + "\n")
		}
		for i, action := range d.Actions {
			if i > 0 || !again {
				b.WriteString(strings.Repeat(" ", by))
			}
			b.WriteString("> " + Wrap(action, width, by+2) + "\n")
		}
		said = d
	}
	return b.String()
}

// Width is how wide the sheet is when pretty.
func (s Sheet) Width() int {
	first, _, _ := strings.Cut(s.Render(Pretty), "\n")
	return utf8.RuneCountInString(first)
}

// sentence is what the member decided; "no action" only where it took none.
func (d MemberDecision) sentence() string {
	if len(d.Actions) > 0 {
		return strings.TrimPrefix(d.Text, "no action. ")
	}
	return d.Text
}

// lastOf are the last n decisions by time; n of 0 or less: all.
func lastOf(all []MemberDecision, n int) []MemberDecision {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b MemberDecision) int { return a.At.Compare(b.At) })
	all = withoutEchoes(all)
	if n > 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all
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
