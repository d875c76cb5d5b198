package ctl_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
)

// TestScripts runs testdata.
//
//	members format=F [extended] [init=ID]   the body of /cluster as the member list
//	diff                                    two texts divided by a line "--"
//	set CHANGE...                           a configuration after -s CHANGE
//	difference                              the patch between two configurations divided by "--"
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "members":
				return members(t, d)
			case "diff":
				a, b, _ := strings.Cut(d.Input, "--\n")
				return ctl.UnifiedDiff(a, b)
			case "set":
				return changed(t, d)
			case "difference":
				a, b, _ := strings.Cut(d.Input, "--\n")
				return ctl.FormatYAML(ctl.Difference(parse(t, a), parse(t, b)), false)
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func members(t *testing.T, d *datadriven.TestData) string {
	c := ctl.Cluster{Name: "demo", Initialize: "uninitialized"}
	if err := json.Unmarshal([]byte(d.Input), &c.Cluster); err != nil {
		t.Fatalf("%s: %v", d.Pos, err)
	}
	var format string
	d.ScanArgs(t, "format", &format)
	if d.HasArg("init") {
		d.ScanArgs(t, "init", &c.Initialize)
	}
	return ctl.Members(c, ctl.Format(format), d.HasArg("extended"))
}

func parse(t *testing.T, text string) map[string]any {
	m, err := ctl.ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func changed(t *testing.T, d *datadriven.TestData) string {
	m := parse(t, d.Input)
	before := ctl.FormatYAML(m, false)
	out := m
	for _, a := range d.CmdArgs {
		var err error
		if out, err = ctl.SetPath(out, a.Key+"="+strings.Join(a.Vals, ",")); err != nil {
			return "error: " + err.Error() + "\n"
		}
	}
	if ctl.FormatYAML(m, false) != before {
		t.Errorf("%s: the configuration itself was changed", d.Pos)
	}
	return ctl.FormatYAML(out, false)
}

// What the difference patches is what the change made: applied to the old configuration it gives the new one.
func TestDifferenceIsAPatch(t *testing.T) {
	value := rapid.OneOf(rapid.Just[any](int64(1)), rapid.Just[any]("x"), rapid.Just[any](true), rapid.Just[any]([]any{int64(1)}))
	leaf := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), value, 1, 3)
	config := rapid.Custom(func(t *rapid.T) map[string]any {
		m := leaf.Draw(t, "scalars")
		if rapid.Bool().Draw(t, "nested") {
			m["d"] = leaf.Draw(t, "sub")
		}
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		before, after := config.Draw(t, "before"), config.Draw(t, "after")
		got, _ := dynamic.Patch(before, ctl.Difference(before, after))
		if a, b := ctl.FormatYAML(got, false), ctl.FormatYAML(after, false); a != b {
			t.Fatalf("patched:\n%s\nwanted:\n%s", a, b)
		}
	})
}

// Applying a difference by hand gives the second text.
func TestDiffApplies(t *testing.T) {
	text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 30)
	rapid.Check(t, func(t *rapid.T) {
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		d := ctl.UnifiedDiff(strings.Join(before, "\n"), strings.Join(after, "\n"))
		if got := strings.Join(apply(t, before, d), "\n"); got != strings.Join(after, "\n") {
			t.Fatalf("applied:\n%s\nwanted:\n%s\ndiff:\n%s", got, strings.Join(after, "\n"), d)
		}
	})
}

// apply is a naive patch(1): it trusts the signs and copies what lies between the hunks.
func apply(t *rapid.T, before []string, diff string) []string {
	var out []string
	at := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(diff, "\n"), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "+++"):
		case strings.HasPrefix(line, "@@"):
			var from, count int
			old := strings.Fields(line)[1][1:]
			from, count = 0, 1
			parts := strings.Split(old, ",")
			from = number(parts[0])
			if len(parts) == 2 {
				count = number(parts[1])
			}
			if count > 0 {
				from--
			}
			out = append(out, before[at:from]...)
			at = from
		case line[0] == '+':
			out = append(out, line[1:])
		default:
			if before[at] != line[1:] {
				t.Fatalf("line %d is %q, and the diff says %q", at+1, before[at], line)
			}
			if line[0] == ' ' {
				out = append(out, line[1:])
			}
			at++
		}
	}
	return append(out, before[at:]...)
}

func number(s string) int {
	n := 0
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

func TestParseSchedule(t *testing.T) {
	berlin := time.Date(2030, 5, 28, 12, 0, 0, 0, time.FixedZone("", 2*3600))
	for _, c := range []struct{ in, want string }{
		{"6:30pm", "2030-05-28T18:30:00+02:00"}, // today
		{"2030-05-29T04:32:31", "2030-05-29T04:32:31+02:00"},
		{"2030-05-29T04:32", "2030-05-29T04:32:00+02:00"},
		{"2030-05-29 04:32:31-03:00", "2030-05-29T04:32:31-03:00"},
		{"2030-05-29T04:32:31Z", "2030-05-29T04:32:31+00:00"},
		{"2030-05-29T04:32:31+0330", "2030-05-29T04:32:31+03:30"},
		{"2030-05-29T04:32:31.25+01", "2030-05-29T04:32:31.250000+01:00"},
	} {
		at, ok, err := ctl.ParseSchedule(c.in, berlin)
		if err != nil || !ok || ctl.ISO(at) != c.want {
			t.Errorf("%s: %s, %v, %v", c.in, ctl.ISO(at), ok, err)
		}
	}
	for _, now := range []string{"", "now", " now "} {
		if _, ok, err := ctl.ParseSchedule(now, berlin); ok || err != nil {
			t.Errorf("%q: %v, %v", now, ok, err)
		}
	}
	for _, bad := range []string{"tomorrow", "5.6.2030", "2030-13-01T00:00", "24:32"} {
		if _, _, err := ctl.ParseSchedule(bad, berlin); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestVersions(t *testing.T) {
	for n, want := range map[int]string{90624: "9.6.24", 100000: "10.0", 150006: "15.6"} {
		if got := ctl.PostgresVersion(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for text, ok := range map[string]bool{"15.6": true, "9.6.24": true, "15": false, "": false, "15.x": false, "1.2.3.4": false, "15.": false} {
		if err := ctl.CheckPostgresVersion(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
