package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
	"quorate/internal/config/nearest"
)

// section reads settings out of one mapping of a tree. It reports what has the wrong form and remembers the names it was asked
// for, so that [section.unknown] can report the rest.
type section struct {
	*findings
	path  string
	tree  *tree // nil when the section was not written
	at    Place // where to look for what was not written
	known []string
}

// section begins to read a mapping. What is missing in it is reported at its own line; if it is missing itself, at the file around it.
func (f *findings) section(path string, t *tree, around Place) *section {
	s := &section{findings: f, path: path, tree: t, at: Place{Source: around.Source}}
	if t != nil {
		s.at = t.at
	}
	return s
}

func (s *section) name(key string) string {
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// raw is a setting as it was written; nil when it was not.
func (s *section) raw(key string) *tree {
	s.known = append(s.known, key)
	return s.tree.get(key)
}

// has says whether a setting was written.
func (s *section) has(key string) bool { return s.tree.get(key) != nil }

// place is where a setting stands, or its section if it was not written.
func (s *section) place(key string) Place {
	if t := s.tree.get(key); t != nil {
		return t.at
	}
	return s.at
}

// bad reports a setting's value.
func (s *section) bad(key, expected string) {
	s.wrong(s.place(key), s.name(key), quote(s.tree.get(key)), expected)
}

// missing reports a setting that must be written.
func (s *section) missing(key, expected string) {
	s.wrong(s.place(key), s.name(key), "nothing", expected)
}

// sub is a section beneath this one.
func (s *section) sub(key string) *section {
	t := s.raw(key)
	if t != nil && t.kind != isMap {
		s.bad(key, "settings of the form 'name: value'")
		t = nil
	}
	return s.findings.section(s.name(key), t, s.at)
}

// text is a scalar as text, "" when it was not written.
func (s *section) text(key string) string {
	t := s.raw(key)
	if t == nil {
		return ""
	}
	if t.kind != isScalar {
		s.bad(key, "text")
		return ""
	}
	return dynamic.Text(t.scalar)
}

// secret is a text that nobody else shall know; the sample's placeholder, which everybody knows, is pointed out.
func (s *section) secret(key string) string {
	text := s.text(key)
	if text == Placeholder {
		s.warn(s.place(key), s.name(key), "this is the sample's placeholder, which everybody knows: write a secret of your own")
	}
	return text
}

// textOr is a scalar with a default.
func (s *section) textOr(key, def string) string {
	if text := s.text(key); text != "" {
		return text
	}
	return def
}

// read parses a scalar; the parser's error says what is expected.
func read[T any](s *section, key string, def T, parse func(any) (T, error)) T {
	t := s.raw(key)
	if t == nil {
		return def
	}
	v, err := parse(t.plain())
	if err != nil {
		s.bad(key, strings.TrimPrefix(err.Error(), "expected "))
		return def
	}
	return v
}

func (s *section) bool(key string, def bool) bool { return read(s, key, def, dynamic.Bool) }

// bounded reads a whole number; one outside of its bounds is an error.
func (s *section) bounded(key string, def, least, most int) int {
	return read(s, key, def, func(v any) (int, error) {
		n, err := dynamic.Int(v)
		if err != nil || n < int64(least) || n > int64(most) {
			return def, fmt.Errorf("a whole number from %d to %d", least, most)
		}
		return int(n), nil
	})
}

func (s *section) port(key string, def int) int { return s.bounded(key, def, 1, 65535) }

// atLeast reads a whole number; one that is too small is corrected with a warning.
func (s *section) atLeast(key string, def, least int) int {
	n := int(read(s, key, int64(def), dynamic.Int))
	if n < least {
		s.warn(s.place(key), s.name(key), "%d is used instead of %d: the minimum is %d", least, n, least)
		return least
	}
	return n
}

// duration reads a time in seconds or with a unit.
func (s *section) duration(key string, def time.Duration) time.Duration {
	return read(s, key, def, func(v any) (time.Duration, error) { return dynamic.Duration(v, time.Second) })
}

func (s *section) bytes(key string, def int64) int64 { return read(s, key, def, dynamic.Bytes) }

// oneOf reads a word out of a list, in any case; the first is the default.
func (s *section) oneOf(key string, words ...string) string {
	return read(s, key, words[0], func(v any) (string, error) {
		word := strings.ToLower(dynamic.Text(v))
		if !slices.Contains(words, word) {
			return "", fmt.Errorf("one of %s", strings.Join(words, ", "))
		}
		return word, nil
	})
}

// list reads texts: a list, or one text with commas.
func (s *section) list(key string) []string {
	t := s.raw(key)
	if t == nil {
		return nil
	}
	var out []string
	switch t.kind {
	case isMap:
		s.bad(key, "a list")
	case isScalar:
		for word := range strings.SplitSeq(dynamic.Text(t.scalar), ",") {
			if word = strings.TrimSpace(word); word != "" {
				out = append(out, word)
			}
		}
	case isList:
		for i, item := range t.items {
			if item.kind != isScalar || item.scalar == nil {
				s.wrong(item.at, s.name(key)+"["+strconv.Itoa(i)+"]", quote(item), "text")
				continue
			}
			out = append(out, dynamic.Text(item.scalar))
		}
	}
	return out
}

// lines reads texts that may have commas in them: a list, or one text.
func (s *section) lines(key string) []string {
	if t := s.tree.get(key); t != nil && t.kind == isScalar {
		return []string{s.text(key)}
	}
	return s.list(key)
}

// dict reads a mapping from names to scalars.
func (s *section) dict(key string) map[string]string {
	sub := s.sub(key)
	if sub.tree == nil {
		return nil
	}
	out := map[string]string{}
	for _, f := range sub.tree.fields {
		if text := sub.text(f.name); text != "" {
			out[f.name] = text
		}
	}
	return out
}

// unknown warns of the settings that nobody asked for.
func (s *section) unknown() {
	if s.tree == nil {
		return
	}
	for _, f := range s.tree.fields {
		if slices.Contains(s.known, f.name) {
			continue
		}
		text := "there is no such setting; it is ignored"
		if n := nearest.Word(f.name, s.known); n != "" {
			text += "; did you mean " + n + "?"
		}
		s.warn(f.value.at, s.name(f.name), "%s", text)
	}
}

// quote is a value as a message shows it.
func quote(t *tree) string {
	if t == nil {
		return "nothing"
	}
	return dynamic.Quote(t.plain())
}
