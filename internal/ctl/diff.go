package ctl

import (
	"fmt"
	"strings"
)

const diffContext = 3

// edit is a line of one text or of both.
type edit struct {
	sign byte // ' ', '-' or '+'
	text string
}

// UnifiedDiff is what changes between two texts, line by line with three lines around each change; "" when nothing does.
func UnifiedDiff(before, after string) string {
	edits := align(lines(before), lines(after))
	var b strings.Builder
	for _, h := range hunks(edits) {
		if b.Len() == 0 {
			b.WriteString("--- \n+++ \n")
		}
		b.WriteString(h)
	}
	return b.String()
}

func lines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

// align finds a longest common subsequence. The texts are configurations: some hundred lines at most.
func align(a, b []string) []edit {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}

// hunks cuts out the changes with their context.
func hunks(edits []edit) []string {
	var out []string
	for at := 0; at < len(edits); {
		if edits[at].sign == ' ' {
			at++
			continue
		}
		from, to, same := max(0, at-diffContext), at, 0
		for to < len(edits) && same <= 2*diffContext {
			if edits[to].sign == ' ' {
				same++
			} else {
				same = 0
			}
			to++
		}
		to -= max(0, same-diffContext)
		out = append(out, hunk(edits, from, to))
		at = to
	}
	return out
}

func hunk(edits []edit, from, to int) string {
	oldLine, newLine := 1, 1
	for _, e := range edits[:from] {
		if e.sign != '+' {
			oldLine++
		}
		if e.sign != '-' {
			newLine++
		}
	}
	oldCount, newCount := 0, 0
	var body strings.Builder
	for _, e := range edits[from:to] {
		if e.sign != '+' {
			oldCount++
		}
		if e.sign != '-' {
			newCount++
		}
		fmt.Fprintf(&body, "%c%s\n", e.sign, e.text)
	}
	return fmt.Sprintf("@@ -%s +%s @@\n%s", span(oldLine, oldCount), span(newLine, newCount), body.String())
}

// span is a range of lines as the unified format writes it.
func span(line, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", line-1)
	case 1:
		return fmt.Sprint(line)
	}
	return fmt.Sprintf("%d,%d", line, count)
}
