package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// pythonJSON renders a value as Python's json.dumps does: a blank after each colon and comma, and nothing but ASCII. People
// have grep patterns like '"role": "primary"' in their scripts.
func pythonJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("render JSON: %w", err)
	}
	return respace(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// respace widens compact JSON.
func respace(in []byte) []byte {
	out := make([]byte, 0, len(in)+len(in)/4)
	inText := false
	for i := 0; i < len(in); i++ {
		c := in[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(in[i:])
			out = appendEscaped(out, r)
			i += n - 1
			continue
		case inText && c == '\\':
			out = append(out, c)
			i++
			c = in[i]
		case c == '"':
			inText = !inText
		}
		out = append(out, c)
		if !inText && (c == ':' || c == ',') {
			out = append(out, ' ')
		}
	}
	return out
}

func appendEscaped(out []byte, r rune) []byte {
	if r < 0x10000 {
		return fmt.Appendf(out, `\u%04x`, r)
	}
	hi, lo := utf16.EncodeRune(r)
	return fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
}

// pythonTime renders a time as Python's str does: without a fraction when there is none.
func pythonTime(t time.Time) string {
	return strings.Replace(isoTime(t.UTC()), "T", " ", 1)
}

// isoTime renders a time as Python's isoformat does: six digits of fraction or none, and never Z.
func isoTime(t time.Time) string {
	layout := "2006-01-02T15:04:05.000000-07:00"
	if t.Nanosecond() < 1000 {
		layout = "2006-01-02T15:04:05-07:00"
	}
	return t.Format(layout)
}
