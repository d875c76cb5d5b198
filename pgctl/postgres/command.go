package postgres

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadCommand is a command line whose quotes do not close.
var ErrBadCommand = errors.New("malformed command")

// SplitCommand splits a command line into words as a POSIX shell does, without any expansion: words end at blanks; single quotes keep
// everything, double quotes keep all but \" and \\, and a backslash elsewhere keeps the next character.
func SplitCommand(s string) ([]string, error) {
	var words []string
	for s = trimSpace(s); s != ""; s = trimSpace(s) {
		w, rest, err := commandWord(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadCommand, err)
		}
		words, s = append(words, w), rest
	}
	return words, nil
}

func commandWord(s string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == 0 && strings.IndexByte(confSpace, c) >= 0:
			return b.String(), s[i:], nil
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'':
			if i++; i == len(s) {
				return "", "", errors.New("nothing follows the last backslash")
			}
			if quote == '"' && s[i] != '"' && s[i] != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", fmt.Errorf("a %c is not closed", quote)
	}
	return b.String(), "", nil
}

// QuoteWord quotes a word for a POSIX shell.
func QuoteWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// LimitCommand makes a shell command that ends when the given one has, or after so many seconds with exit code 124, which PostgreSQL takes
// for "no such file" and not for a reason to end. It wants coreutils' timeout. Placeholders of the command stay in place.
func LimitCommand(command string, seconds int) string {
	if command == "" || seconds <= 0 {
		return command
	}
	return fmt.Sprintf("timeout %d /bin/sh -c %s", seconds, QuoteWord(command))
}
