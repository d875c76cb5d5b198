package logging

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"quorate/internal/soon"
)

// lines are what was written, without the last line's end.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

func TestPlainLayout(t *testing.T) {
	var b strings.Builder
	l := Plain(&b).With("component", "agent")
	l.Debug("not shown")
	l.Info("promoted self", "timeline", 2, "took", "1 s")
	l.WithGroup("pg").Error("two\nlines", "error", errors.New("a=b"), slog.Group("g", "x", 1))
	want := []string{
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO: promoted self timeline=2 took="1 s" component=agent$`,
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ERROR: "two\\nlines" pg.error="a=b" pg.g.x=1 component=agent$`,
	}
	got := lines(b.String())
	if len(got) != len(want) {
		t.Fatalf("lines: %q", got)
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(got[i]) {
			t.Errorf("line %d is %q", i, got[i])
		}
	}
}

func TestOwnFormat(t *testing.T) {
	var b strings.Builder
	l, err := New(&b, Options{Format: "%(asctime)s [%(levelname)-7s] %(name)s %(module)s %(funcName)s: %(message)s", DateFormat: "%Y"})
	if err != nil {
		t.Fatal(err)
	}
	l.With("component", "postgres", "part", "monitor").Warn("hello", "n", 1)
	if !regexp.MustCompile(`^\d{4} \[WARNING\] postgres.monitor logging_test TestOwnFormat: hello n=1 component=postgres part=monitor\n$`).MatchString(b.String()) {
		t.Errorf("%q", b.String())
	}
	if _, err := New(&b, Options{Format: "%(nonsense)s"}); err == nil {
		t.Error("a format with an unknown field is taken")
	}
}

// The lines of type json, in the order of the format, then the static fields, then what the line itself brings.
func TestJSON(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, `{"asctime": "T", "levelname": "INFO", "message": "he said \"<hi>\"", "n": 1, "error": "a b", "component": "agent"}`},
		{
			Options{Format: "%(message)s %(levelno)d", StaticFields: map[string]string{"app": "pg", "n": "static"}},
			`{"message": "he said \"<hi>\"", "levelno": 20, "app": "pg", "n": "static", "error": "a b", "component": "agent"}`,
		},
		{
			Options{Fields: []string{"asctime=@timestamp", "levelname=level", "message", "component=part"}},
			`{"@timestamp": "T", "level": "INFO", "message": "he said \"<hi>\"", "part": "agent", "n": 1, "error": "a b"}`,
		},
	} {
		var b strings.Builder
		c.o.JSON, c.o.DateFormat = true, "T"
		l, err := New(&b, c.o)
		if err != nil {
			t.Fatal(err)
		}
		l.With("component", "agent").Info(`he said "<hi>"`, "n", 1, "error", errors.New("a b"))
		if got := lines(b.String())[0]; got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("got\n%s, want\n%s", got, c.want)
		}
	}
}

// The lines of etcd 3.5 and later, by which log shippers know an etcd.
func TestEtcdLayout(t *testing.T) {
	var b strings.Builder
	l, err := New(&b, Options{Etcd: true, Level: "DEBUG"})
	if err != nil {
		t.Fatal(err)
	}
	l.With("component", "store").Warn("rejected connection", "remote-addr", "1.2.3.4:5", "error", errors.New("EOF"), "level", 3)
	l.Debug("d")
	want := []string{
		`^{"level":"warn","ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d{4})","caller":"logging/logging_test\.go:\d+",` +
			`"msg":"rejected connection","remote-addr":"1\.2\.3\.4:5","error":"EOF","level_":3,"component":"store"}$`,
		`^{"level":"debug",.*"msg":"d"}$`,
	}
	for i, line := range lines(b.String()) {
		if !regexp.MustCompile(want[i]).MatchString(line) || !json.Valid([]byte(line)) {
			t.Errorf("line %d is %s", i, line)
		}
	}
}

func TestLevels(t *testing.T) {
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "WARNING": slog.LevelWarn, "CRITICAL": levelCritical, "?": slog.LevelInfo} {
		if got := ParseLevel(name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	var b strings.Builder
	l, err := New(&b, Options{Level: "WARNING", Loggers: map[string]string{
		"patroni.postgresql.postmaster": "ERROR", "agent": "DEBUG", "quorate.rest": "INFO", "postgres.monitor": "NOTSET", "urllib3": "DEBUG",
	}})
	if err != nil {
		t.Fatal(err)
	}
	l.Info("no")
	l.With("component", "agent").Debug("yes")
	l.With("component", "rest").Info("yes")
	l.With("component", "postgres").Warn("no")
	l.With("component", "postgres").With("part", "monitor").Warn("no")
	l.With("component", "store").Warn("yes")
	if strings.Contains(b.String(), "no") || strings.Count(b.String(), "yes") != 3 {
		t.Errorf("%s", b.String())
	}
}

// A log that is reloaded writes on in the other form, at the other place, without a line lost or told twice.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	std := filepath.Join(dir, "stderr")
	f, err := os.Create(std)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, err := Open(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := log.Logger().With("component", "agent")
	l.Info("first")
	path := filepath.Join(dir, "quorate.log")
	wait(t, func() bool { return strings.Contains(read(t, std), "first") })
	if err := log.Reload(Options{File: path, Level: "DEBUG", Format: "%(message)s", Rotation: Rotation{Mode: 0o600}}); err != nil {
		t.Fatal(err)
	}
	l.Debug("second")
	if err := log.Reload(Options{File: filepath.Join(dir, "no", "such", "folder"), Format: "%(name)s"}); err == nil {
		t.Error("a folder that is not there is taken")
	}
	l.Debug("third")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, path), "second component=agent\nthird component=agent\n"; got != want {
		t.Errorf("the file has %q, want %q", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v, %v", info.Mode(), err)
	}
	if got := read(t, std); strings.Count(got, "\n") != 1 {
		t.Errorf("standard error has %q", got)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patroni.log")
	if err := os.WriteFile(path, []byte("older\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(path, Rotation{Size: 10, Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"1\n", "2\n", "3\n", "a line of its own\n", "4\n"} {
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"": "4\n", ".1": "a line of its own\n", ".2": "3\n"} {
		if got := read(t, path+name); got != want {
			t.Errorf("%s has %q, want %q", path+name, got, want)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("a third old file is kept")
	}
}

// stuck is a device that takes nothing until it is let go.
type stuck struct {
	goOn    chan struct{}
	entered chan struct{}
	strings.Builder
}

func (s *stuck) Write(b []byte) (int, error) {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.goOn
	return s.Builder.Write(b)
}

// Who writes into a log whose device hangs is not held up; what does not fit into the queue is counted and told later.
func TestStuckDevice(t *testing.T) {
	device := &stuck{goOn: make(chan struct{}), entered: make(chan struct{}, 1)}
	log, err := Open(device, Options{Format: "%(message)s", MaxQueue: 3})
	if err != nil {
		t.Fatal(err)
	}
	l := log.Logger()
	l.Info("first")
	<-device.entered
	for range 5 {
		l.Info("more")
	}
	if waiting, lost := log.Stats(); waiting != 4 || lost != 2 {
		t.Errorf("%d lines wait and %d are lost, want 4 and 2", waiting, lost)
	}
	close(device.goOn)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^first\nmore\nmore\nmore\n[-0-9:, ]+ WARNING: 2 log records were lost: they came faster than they could be written\n$`)
	if got := device.String(); !want.MatchString(got) {
		t.Errorf("%q", got)
	}
}

// A log that cannot be written falls back to the standard error.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	var std strings.Builder
	log, err := Open(&std, Options{Format: "%(message)s", File: "/dev/full"})
	if err != nil {
		t.Fatal(err)
	}
	log.Logger().Info("hello")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if std.String() != "hello\n" {
		t.Errorf("%q", std.String())
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wait(t *testing.T, until func() bool) {
	t.Helper()
	soon.True(t, 10*time.Second, "what is waited for", until)
}
