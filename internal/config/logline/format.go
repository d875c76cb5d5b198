// Package logline reads the formats of log lines as Python's logging has them: %(asctime)s %(levelname)s: %(message)s, and strftime's notation for
// the time. It is pure.
package logline

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// DefaultFormat is Patroni's.
const DefaultFormat = "%(asctime)s %(levelname)s: %(message)s"

// Fields are the attributes of a record that a format can name (Python's library reference, logging, "LogRecord attributes").
var Fields = []string{
	"asctime", "created", "filename", "funcName", "levelname", "levelno", "lineno", "message", "module", "msecs", "name", "pathname",
	"process", "processName", "relativeCreated", "taskName", "thread", "threadName",
}

// IsField says whether there is such an attribute.
func IsField(name string) bool { return slices.Contains(Fields, name) }

// Format is a parsed format: literal texts and fields in turn.
type Format struct{ pieces []piece }

type piece struct {
	text  string // literal; for a field its name
	field bool
	verb  string // Go's, "%-8s"
	kind  byte   // s, d or f
}

// conversion is Python's %(name)flags width .precision type.
var conversion = regexp.MustCompile(`^%\((\w+)\)([-0+ #]*)(\d*)(\.\d+)?([sdfr])`)

// Parse reads a format.
func Parse(text string) (Format, error) {
	var f Format
	rest := text
	for rest != "" {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return f.literal(rest), nil
		}
		f = f.literal(rest[:i])
		rest = rest[i:]
		if strings.HasPrefix(rest, "%%") {
			f, rest = f.literal("%"), rest[2:]
			continue
		}
		m := conversion.FindStringSubmatch(rest)
		if m == nil {
			return Format{}, fmt.Errorf("%q is no field of the form %%(name)s", cut(rest))
		}
		if !IsField(m[1]) {
			return Format{}, fmt.Errorf("there is no field %s, only %s", m[1], strings.Join(Fields, ", "))
		}
		kind := strings.Replace(m[5], "r", "s", 1)[0]
		f.pieces = append(f.pieces, piece{text: m[1], field: true, verb: "%" + m[2] + m[3] + m[4] + string(kind), kind: kind})
		rest = rest[len(m[0]):]
	}
	return f, nil
}

func cut(s string) string { return s[:min(len(s), 12)] }

func (f Format) literal(text string) Format {
	if n := len(f.pieces); n > 0 && !f.pieces[n-1].field {
		f.pieces[n-1].text += text
		return f
	}
	if text != "" {
		f.pieces = append(f.pieces, piece{text: text})
	}
	return f
}

// Names are the fields in the order of the format.
func (f Format) Names() []string {
	var out []string
	for _, p := range f.pieces {
		if p.field {
			out = append(out, p.text)
		}
	}
	return out
}

// Append writes a line; value gives a field as text, int or float64.
func (f Format) Append(b []byte, value func(field string) any) []byte {
	for _, p := range f.pieces {
		if !p.field {
			b = append(b, p.text...)
			continue
		}
		b = p.append(b, value(p.text))
	}
	return b
}

func (p piece) append(b []byte, v any) []byte {
	if text, ok := v.(string); ok && p.verb == "%s" {
		return append(b, text...)
	}
	switch p.kind {
	case 'd':
		return fmt.Appendf(b, p.verb, int64(number(v)))
	case 'f':
		return fmt.Appendf(b, p.verb, number(v))
	}
	return fmt.Appendf(b, p.verb, Text(v))
}

// Text is a field's value as %s shows it.
func Text(v any) string {
	if x, ok := v.(float64); ok {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// number is a value for %d and %f; text counts as 0, where Python's logging would lose the line.
func number(v any) float64 {
	switch x := v.(type) {
	case int:
		return float64(x)
	case float64:
		return x
	}
	return 0
}
