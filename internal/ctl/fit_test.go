package ctl_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"quorate/api/client"
	"quorate/internal/ctl"
)

func night() ctl.Sheet {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return ctl.Decisions([]ctl.MemberDecision{
		{Member: "n2", Decision: client.Decision{
			At: at, Reason: "racing", Text: "following a different leader because i am not the healthiest node: n1 is ahead by 2048 bytes",
		}},
		{Member: "n1", Decision: client.Decision{
			At: at.Add(time.Second), Reason: "promoting", Text: "promoted self to leader by acquiring session lock",
			Actions: []string{"arm the fence for term 1@42", "promote for term 1@42", "slots: n2, n3"},
		}},
	}, 0, time.UTC)
}

// On a terminal the decisions are as wide as it is: words go to further lines, and nothing of them is lost.
func TestFit(t *testing.T) {
	wide := night().Render(ctl.Pretty)
	for _, width := range []int{80, 100, 120} {
		fitted := night().Fit(width, "Time", "Decision", "Actions").Render(ctl.Pretty)
		widest := 0
		for line := range strings.Lines(fitted) {
			widest = max(widest, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
		}
		if widest > width || widest < width-12 {
			t.Errorf("%d characters wide on a terminal of %d:\n%s", widest, width, fitted)
		}
		if got, want := letters(fitted), letters(wide); got != want {
			t.Errorf("width %d shows other letters:\n%s", width, fitted)
		}
	}
	if got := night().Fit(400, "Decision").Render(ctl.Pretty); got != wide {
		t.Errorf("changed where there was room:\n%s", got)
	}
	if got := night().Fit(10, "Time", "Decision", "Actions").Render(ctl.Pretty); letters(got) != letters(wide) {
		t.Errorf("where no word fits:\n%s", got)
	}
}

// letters are those of a table in an order that does not depend on where its lines end.
func letters(table string) string {
	var out []rune
	for _, c := range table {
		if !strings.ContainsRune("+-|\n ", c) {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return string(out)
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
