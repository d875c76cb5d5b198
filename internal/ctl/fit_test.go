package ctl_test

import (
	"strings"
	"testing"
	"time"

	"quorate/api/client"
	"quorate/internal/ctl"
)

func night() []ctl.MemberDecision {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	decided := func(member string, after time.Duration, reason, text string, actions ...string) ctl.MemberDecision {
		return ctl.MemberDecision{Member: member, Decision: client.Decision{At: at.Add(after), Reason: reason, Text: text, Actions: actions}}
	}
	return []ctl.MemberDecision{
		decided("n2", 0, "racing", "following a different leader because i am not the healthiest node: n1 is ahead by 2048 bytes"),
		decided("n1", time.Second, "promoting", "promoted self to leader by acquiring session lock", "arm the fence for term 1@42"),
		decided("n1", 1100*time.Millisecond, "promoting", "promoted self to leader by acquiring session lock", "promote for term 1@42", "slots: n2, n3"),
		decided("n2", 21*time.Hour, "following", "no action. I am (n2), a secondary, and following a leader (n1)", "compare the WAL with n1"),
		decided("n1", 22*time.Hour, "leading", "n2 may be promoted from now on", "commit: n2 may be promoted from now on"),
	}
}

// On a narrow terminal the decisions are told in lines that fit it.
func TestStory(t *testing.T) {
	want := `2026-01-02
03:04:05.000 n2 racing    following a different leader because i am not the
                          healthiest node: n1 is ahead by 2048 bytes
03:04:06.000 n1 promoting promoted self to leader by acquiring session lock
                          > arm the fence for term 1@42
03:04:06.100 n1 promoting > promote for term 1@42
                          > slots: n2, n3
2026-01-03
00:04:05.000 n2 following I am (n2), a secondary, and following a leader (n1)
                          > compare the WAL with n1
01:04:05.000 n1 leading   n2 may be promoted from now on
`
	if got := ctl.Story(night(), 0, time.UTC, 80); got != want {
		t.Errorf("\n%s", got)
	}
	if got := ctl.Story(night(), 1, time.UTC, 80); strings.Count(got, "\n") != 2 {
		t.Errorf("the last one:\n%s", got)
	}
	if wide := ctl.Decisions(night(), 0, time.UTC); wide.Width() != len(strings.SplitN(wide.Render(ctl.Pretty), "\n", 2)[0]) || wide.Width() < 120 {
		t.Errorf("%d wide", wide.Width())
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[ctl.Bytes]string{0: "0 B", 352: "352 B", 1 << 10: "1 kB", 5<<20 + 1<<19: "5.5 MB", 1 << 50: "1024 TB"} {
		if n.String() != want {
			t.Errorf("%d is shown as %s, not as %s", int64(n), n, want)
		}
	}
	sheet := ctl.Sheet{Columns: []string{"Lag"}, Rows: [][]any{{ctl.Bytes(2048)}}}
	for f, want := range map[ctl.Format]string{ctl.Pretty: "| 2 kB |", ctl.TSV: "Lag\n2048\n", ctl.JSON: `[{"Lag": 2048}]`, ctl.YAML: "- Lag: 2048\n"} {
		if got := sheet.Render(f); !strings.Contains(got, want) {
			t.Errorf("%s: %q", f, got)
		}
	}
}

// An empty table has both its rules, as prettytable draws it.
func TestEmptyTable(t *testing.T) {
	got := ctl.Sheet{Columns: []string{"TL", "LSN"}}.Render(ctl.Pretty)
	if want := "+----+-----+\n| TL | LSN |\n+----+-----+\n+----+-----+\n"; got != want {
		t.Errorf("\n%s", got)
	}
}
