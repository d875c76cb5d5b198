package postgres

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Params are parameters of postgresql.conf by name, in lower case.
type Params map[string]string

// Clone is a copy that may be changed.
func (p Params) Clone() Params { return maps.Clone(p) }

// Names are the parameters' names in order.
func (p Params) Names() []string { return slices.Sorted(maps.Keys(p)) }

// generatedNotice heads each file that the agent writes.
const generatedNotice = "# Written by Quorate: changes made here are lost. Use `quorate edit-config`.\n"

// Errors of configuration files.
var (
	// ErrBadParam is a name or a value that postgresql.conf cannot have.
	ErrBadParam = errors.New("not a parameter that postgresql.conf can have")
	// ErrBadConf is a line that is not of the form that PostgreSQL reads.
	ErrBadConf = errors.New("malformed configuration line")
)

// RenderConf is the content of postgresql.conf: the include of the user's own file first, so that what the cluster decides wins, then the
// parameters sorted by name.
func RenderConf(include string, p Params) (string, error) {
	var b strings.Builder
	b.WriteString(generatedNotice)
	if include != "" {
		fmt.Fprintf(&b, "include %s\n", QuoteConf(include))
	}
	b.WriteByte('\n')
	for _, name := range p.Names() {
		if !validParamName(name) {
			return "", fmt.Errorf("%q: %w: a name has letters, digits, '_' and '.' and begins with a letter", name, ErrBadParam)
		}
		if strings.ContainsAny(p[name], "\n\r\x00") {
			return "", fmt.Errorf("value of %s: %w: it is not one line", name, ErrBadParam)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, QuoteConf(p[name]))
	}
	return b.String(), nil
}

// QuoteConf quotes a value of postgresql.conf. PostgreSQL reads a backslash in quotes as an escape (guc-file.l), so it is doubled.
func QuoteConf(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(v) + "'"
}

func validParamName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isIdentByte(c, i == 0) && (c != '.' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}

// ParseConf reads the settings of a configuration file in order, the include directives among them (as settings of those names).
// The last of several settings of one name counts.
func ParseConf(text string) ([]Setting, error) {
	var out []Setting
	for i, line := range strings.Split(text, "\n") {
		s, ok, err := parseConfLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d %q: %w", i+1, line, err)
		}
		if ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func parseConfLine(line string) (s Setting, ok bool, err error) {
	line = strings.Trim(line, confSpace)
	if line == "" || line[0] == '#' {
		return Setting{}, false, nil
	}
	n := 0
	for n < len(line) && (isIdentByte(line[n], n == 0) || n > 0 && line[n] == '.') {
		n++
	}
	if n == 0 {
		return Setting{}, false, fmt.Errorf("%w: it does not begin with a name", ErrBadConf)
	}
	s.Name = strings.ToLower(line[:n])
	rest := trimSpace(line[n:])
	rest = trimSpace(strings.TrimPrefix(rest, "="))
	var tail string
	if strings.HasPrefix(rest, "'") {
		s.Value, tail, err = confString(rest[1:])
	} else {
		end := strings.IndexAny(rest, confSpace+"#")
		if end < 0 {
			end = len(rest)
		}
		s.Value, tail = rest[:end], rest[end:]
		if s.Value == "" || strings.ContainsAny(s.Value, "'\"=") {
			err = fmt.Errorf("%w: %s has no value, or one that wants quotes", ErrBadConf, s.Name)
		}
	}
	if tail = trimSpace(tail); err == nil && tail != "" && tail[0] != '#' {
		err = fmt.Errorf("%w: unexpected %q", ErrBadConf, tail)
	}
	return s, err == nil, err
}

// confString reads up to the closing quote, undoing doubled quotes and backslash escapes.
func confString(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'' && i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case c == '\'':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i += confEscape(&b, s[i+1:])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("%w: unterminated quoted value", ErrBadConf)
}

// confEscape writes what the escape sequence s (after its backslash) stands for and returns its length.
func confEscape(b *strings.Builder, s string) int {
	if i := strings.IndexByte("bfnrt", s[0]); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return 1
	}
	n := 0
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if n > 0 {
		v, _ := strconv.ParseUint(s[:n], 8, 16)
		b.WriteByte(byte(v))
		return n
	}
	b.WriteByte(s[0])
	return 1
}

// StripConf returns text without the lines that set one of the names, and whether there were any. It is how recovery settings are taken
// out of postgresql.auto.conf, where pg_basebackup and ALTER SYSTEM leave them and where they would win over what the agent writes.
func StripConf(text string, names []string) (string, bool) {
	lines := strings.Split(text, "\n")
	kept := slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		s, ok, err := parseConfLine(l)
		return err == nil && ok && slices.Contains(names, s.Name)
	})
	return strings.Join(kept, "\n"), len(kept) != len(lines)
}
