package postgres

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadConninfo is a connection string that libpq would refuse, or one of its URI form, which Quorate does not read.
var ErrBadConninfo = errors.New("malformed connection string")

// Setting is one keyword of a connection string, or one line of a configuration file.
type Setting struct{ Name, Value string }

// Conninfo is a connection string of libpq's keyword form (manual, section 34.1.1.1), in the order written.
type Conninfo []Setting

// Get is the value of a keyword, "" when it is absent. As in libpq the last one counts.
func (c Conninfo) Get(name string) string {
	for i := len(c) - 1; i >= 0; i-- {
		if c[i].Name == name {
			return c[i].Value
		}
	}
	return ""
}

// With is c with the keyword set to value, in its place or at the end; an empty value leaves c as it is.
func (c Conninfo) With(name, value string) Conninfo {
	if value == "" {
		return c
	}
	out := append(Conninfo(nil), c...)
	for i := range out {
		if out[i].Name == name {
			out[i].Value = value
			return out
		}
	}
	return append(out, Setting{name, value})
}

// String renders c so that libpq, and ParseConninfo, read the same settings again.
func (c Conninfo) String() string {
	var b strings.Builder
	for i, s := range c {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.Name)
		b.WriteByte('=')
		b.WriteString(QuoteConninfo(s.Value))
	}
	return b.String()
}

// Redacted is String with passwords left out, for logs.
func (c Conninfo) Redacted() string {
	out := append(Conninfo(nil), c...)
	for i := range out {
		if out[i].Name == "password" || out[i].Name == "sslpassword" {
			out[i].Value = "***"
		}
	}
	return out.String()
}

// QuoteConninfo quotes a value when it must be: when it is empty or has a space, a quote or a backslash.
func QuoteConninfo(v string) string {
	if v != "" && !strings.ContainsAny(v, " \t\n\r\f\v'\\") {
		return v
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// ParseConninfo reads the keyword form. The words of the grammar are libpq's: spaces around the equals sign are allowed, a value may
// be quoted, and a backslash takes the next character as it is.
func ParseConninfo(s string) (Conninfo, error) {
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		return nil, fmt.Errorf("%w: write it as keyword=value pairs, not as a URI", ErrBadConninfo)
	}
	var out Conninfo
	for s = trimSpace(s); s != ""; s = trimSpace(s) {
		eq := strings.IndexByte(s, '=')
		if eq < 0 {
			return nil, fmt.Errorf("%w: missing \"=\" after %q", ErrBadConninfo, s)
		}
		name := strings.TrimRight(s[:eq], confSpace)
		if name == "" || strings.ContainsAny(name, confSpace) {
			return nil, fmt.Errorf("%w: %q is no keyword", ErrBadConninfo, s[:eq])
		}
		value, rest, err := conninfoValue(trimSpace(s[eq+1:]))
		if err != nil {
			return nil, fmt.Errorf("%w: value of %s: %w", ErrBadConninfo, name, err)
		}
		out = append(out, Setting{name, value})
		s = rest
	}
	return out, nil
}

const confSpace = " \t\n\r\f\v"

func trimSpace(s string) string { return strings.TrimLeft(s, confSpace) }

func conninfoValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case quoted && c == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(confSpace, c) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("unterminated quoted string")
	}
	return b.String(), "", nil
}
