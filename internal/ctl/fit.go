package ctl

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Fit wraps the words of some columns until the sheet, when pretty, is no wider than width characters, or no word fits into less: of those columns the
// widest gives way first.
func (s Sheet) Fit(width int, columns ...string) Sheet {
	texts, widths := s.texts()
	total := 1
	for _, w := range widths {
		total += w + len("|  ")
	}
	var give []int
	for i, c := range s.Columns {
		if slices.Contains(columns, c) {
			give = append(give, i)
		}
	}
	for total > width && len(give) > 0 {
		at := slices.MaxFunc(give, func(a, b int) int { return widths[a] - widths[b] })
		narrower, w := wrapColumn(texts, at, widths[at]-1, utf8.RuneCountInString(s.Columns[at]))
		if w >= widths[at] {
			give = slices.DeleteFunc(give, func(i int) bool { return i == at })
			continue
		}
		total -= widths[at] - w
		widths[at] = w
		for r, text := range narrower {
			texts[r][at] = text
		}
	}
	return s.withTexts(texts)
}

// texts are the cells as a pretty table shows them, and the widths of the columns.
func (s Sheet) texts() (texts [][]string, widths []int) {
	texts = make([][]string, len(s.Rows))
	for r, row := range s.Rows {
		for _, v := range row {
			texts[r] = append(texts[r], cell(v, false))
		}
	}
	return texts, table{columns: s.Columns, rows: texts}.widths()
}

func (s Sheet) withTexts(texts [][]string) Sheet {
	s.Rows = make([][]any, len(texts))
	for r, row := range texts {
		for _, text := range row {
			s.Rows[r] = append(s.Rows[r], text)
		}
	}
	return s
}

// wrapColumn wraps a column to a width. w is what it takes then, its title included.
func wrapColumn(texts [][]string, at, width, title int) (wrapped []string, w int) {
	w = title
	for _, row := range texts {
		text := Wrap(strings.ReplaceAll(row[at], "\n", " "), width, 0)
		wrapped = append(wrapped, text)
		for line := range strings.SplitSeq(text, "\n") {
			w = max(w, utf8.RuneCountInString(line))
		}
	}
	return wrapped, w
}

// Wrap breaks a text between words, so that no line is longer than width characters where a word allows it. The first line begins at the column by,
// and the others are moved there.
func Wrap(text string, width, by int) string {
	var b strings.Builder
	at := by
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i > 0 && at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", by))
			at = by
		case i > 0:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
