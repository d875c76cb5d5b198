package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Place is where a setting was written: a line of a file, or a variable of the environment.
type Place struct {
	Source string // the file's path, or the variable's name; empty: the setting was not written
	Line   int    // 0: not a file
}

// String is file:line, or the variable's name.
func (p Place) String() string {
	switch {
	case p.Source == "":
		return "configuration"
	case p.Line == 0:
		return p.Source
	}
	return fmt.Sprintf("%s:%d", p.Source, p.Line)
}

// Problem is one error of a configuration.
type Problem struct {
	Place    Place
	Key      string // the dotted name
	Found    string
	Expected string // and, where it is not obvious, the remedy
}

// String is the line that a person reads.
func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s: found %s, expected %s", p.Place, p.Found, p.Expected)
	}
	return fmt.Sprintf("%s: %s: found %s, expected %s", p.Place, p.Key, p.Found, p.Expected)
}

// Error is everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

// Error is one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// ErrNotFound means that there is no configuration: neither a file nor a variable of the environment.
var ErrNotFound = errors.New("no configuration")

// Warning is something that does not stop a start: a setting that was corrected, that is unknown, or that has no effect here.
type Warning struct {
	Place Place
	Key   string
	Text  string
	// Note marks what is no mistake, for example a section of a role that this host does not hold.
	Note bool
}

// String is the line that a person reads.
func (w Warning) String() string {
	if w.Key == "" {
		return fmt.Sprintf("%s: %s", w.Place, w.Text)
	}
	return fmt.Sprintf("%s: %s: %s", w.Place, w.Key, w.Text)
}

// findings collects problems and warnings while a configuration is read.
type findings struct {
	problems []Problem
	warnings []Warning
}

func (f *findings) wrong(at Place, key, found, expected string) {
	f.problems = append(f.problems, Problem{Place: at, Key: key, Found: found, Expected: expected})
}

func (f *findings) warn(at Place, key, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{Place: at, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) note(at Place, key, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{Place: at, Key: key, Text: fmt.Sprintf(format, args...), Note: true})
}

// sort puts the findings into the order of the texts, so that a person can go through a file once.
func (f *findings) sort(texts []Text) {
	source := func(p Place) int {
		return slices.IndexFunc(texts, func(t Text) bool { return t.Source == p.Source })
	}
	before := func(a, b Place) int {
		return cmp.Or(cmp.Compare(source(a), source(b)), cmp.Compare(a.Line, b.Line))
	}
	slices.SortStableFunc(f.problems, func(a, b Problem) int { return before(a.Place, b.Place) })
	slices.SortStableFunc(f.warnings, func(a, b Warning) int { return before(a.Place, b.Place) })
}

// err is nil, or an *Error with all problems.
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return &Error{Problems: f.problems}
}
