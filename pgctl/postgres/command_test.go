package postgres

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestSplitCommand(t *testing.T) {
	for in, want := range map[string][]string{
		"":                             nil,
		" a  b\tc ":                    {"a", "b", "c"},
		`sh -c 'echo "x" \y'`:          {"sh", "-c", `echo "x" \y`},
		`a "b \"c\" \\ \d" e\ f`:       {"a", `b "c" \ \d`, "e f"},
		`pre'mid'"post" ''`:            {"premidpost", ""},
		"/usr/bin/restore --stanza=db": {"/usr/bin/restore", "--stanza=db"},
	} {
		if got, err := SplitCommand(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{`'a`, `"a`, `a\`, `"a\"`} {
		if got, err := SplitCommand(bad); !errors.Is(err, ErrBadCommand) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestLimitCommand(t *testing.T) {
	if got := LimitCommand(`cp '/a b/%f' %p`, 300); got != `timeout 300 /bin/sh -c 'cp '\''/a b/%f'\'' %p'` {
		t.Error(got)
	}
	for _, c := range []string{LimitCommand("", 300), LimitCommand("x", 0)} {
		if strings.Contains(c, "timeout") {
			t.Error(c)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`a 'b c' "d"`)
	f.Fuzz(func(t *testing.T, s string) {
		words, err := SplitCommand(s)
		if err != nil {
			return
		}
		for i, w := range words {
			words[i] = QuoteWord(w)
		}
		again, err := SplitCommand(strings.Join(words, " "))
		if err != nil || len(again) != len(words) {
			t.Fatalf("%q -> %q -> %q, %v", s, words, again, err)
		}
	})
}
