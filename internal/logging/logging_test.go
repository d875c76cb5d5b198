package logging

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestPlainLayout(t *testing.T) {
	var b strings.Builder
	l := New(&b, Options{Level: "INFO"}).With("component", "agent")
	l.Debug("not shown")
	l.Info("promoted self", "timeline", 2, "took", "1 s")
	l.WithGroup("pg").Error("two\nlines", "error", errors.New("a=b"), slog.Group("g", "x", 1))
	want := []string{
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO: promoted self timeline=2 took="1 s" component=agent$`,
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ERROR: "two\\nlines" pg.error="a=b" pg.g.x=1 component=agent$`,
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("lines: %q", lines)
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(lines[i]) {
			t.Errorf("line %d is %q", i, lines[i])
		}
	}
}

func TestLevels(t *testing.T) {
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "WARNING": slog.LevelWarn, "CRITICAL": slog.LevelError, "?": slog.LevelInfo} {
		if got := ParseLevel(name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
}
