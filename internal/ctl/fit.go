package ctl

import (
	"strings"
	"unicode/utf8"
)

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
