package ctl

import (
	"strings"
	"unicode/utf8"
)

// table is a table in the look of Python's prettytable, which scripts and people know from patronictl. A title stands in the upper
// border.
type table struct {
	title   string
	columns []string
	right   map[string]bool // columns aligned to the right
	rows    [][]string
}

func (t table) String() string {
	widths := t.widths()
	var b strings.Builder
	rule := border(widths)
	b.WriteString(titled(rule, t.title))
	t.line(&b, t.columns, widths)
	b.WriteString(rule)
	between := t.multiline()
	for i, row := range t.rows {
		if i > 0 && between {
			b.WriteString(rule)
		}
		t.row(&b, row, widths)
	}
	b.WriteString(rule) // of an empty table, too, as prettytable does
	return b.String()
}

// titled puts the title into the border, from its second character on.
func titled(rule, title string) string {
	room := len(rule) - len("++\n")
	if utf8.RuneCountInString(title) > room {
		title = string([]rune(title)[:max(0, room)])
	}
	return rule[:1] + title + rule[1+utf8.RuneCountInString(title):]
}

// multiline says whether a cell has several lines; then rows are divided by rules.
func (t table) multiline() bool {
	for _, row := range t.rows {
		for _, cell := range row {
			if strings.Contains(cell, "\n") {
				return true
			}
		}
	}
	return false
}

func (t table) widths() []int {
	widths := make([]int, len(t.columns))
	for _, row := range append([][]string{t.columns}, t.rows...) {
		for i, cell := range row {
			for line := range strings.SplitSeq(cell, "\n") {
				widths[i] = max(widths[i], utf8.RuneCountInString(line))
			}
		}
	}
	return widths
}

func border(widths []int) string {
	var b strings.Builder
	for _, w := range widths {
		b.WriteString("+" + strings.Repeat("-", w+2))
	}
	return b.String() + "+\n"
}

// row writes a row of cells that may have several lines each.
func (t table) row(b *strings.Builder, cells []string, widths []int) {
	lines := make([][]string, len(cells))
	height := 1
	for i, cell := range cells {
		lines[i] = strings.Split(cell, "\n")
		height = max(height, len(lines[i]))
	}
	for n := range height {
		line := make([]string, len(cells))
		for i := range cells {
			if n < len(lines[i]) {
				line[i] = lines[i][n]
			}
		}
		t.line(b, line, widths)
	}
}

func (t table) line(b *strings.Builder, cells []string, widths []int) {
	for i, cell := range cells {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.right[t.columns[i]] {
			b.WriteString("| " + pad + cell + " ")
		} else {
			b.WriteString("| " + cell + pad + " ")
		}
	}
	b.WriteString("|\n")
}
