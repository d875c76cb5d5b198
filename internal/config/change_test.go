package config_test

import (
	"slices"
	"strings"
	"testing"

	"quorate/internal/config"
)

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	c, _, err := config.Parse(config.Input{Texts: []config.Text{{Source: "a.yml", Content: []byte(base + text)}}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChanged(t *testing.T) {
	old := parsed(t, "store: {expect: 1}\ntags: {a: 1, b: 2}\nrestapi: {allowlist: [10.0.0.0/8]}\n")
	if c := config.Changed(old, old); !c.Empty() || len(c.Restart) > 0 {
		t.Errorf("nothing changed, and %+v", c)
	}
	if c := config.Changed(old, parsed(t, "restapi: {allowlist: [10.0.0.0/8]}\n# a comment\ntags: {b: 2, a: 1}\nstore: {expect: 1}\n")); !c.Empty() {
		t.Errorf("the order of lines is a change: %+v", c)
	}
	now := parsed(t, "store: {expect: 3, client_port: 2400}\ntags: {a: 1, b: 3}\nrestapi: {allowlist: []}\nlog: {level: DEBUG}\n")
	c := config.Changed(old, now)
	if want := []string{"log.level", "restapi.allowlist", "store.client_port", "store.expect", "tags.b"}; !slices.Equal(c.Settings, want) {
		t.Errorf("changed: %v", c.Settings)
	}
	if want := []string{"store.client_port", "store.expect"}; !slices.Equal(c.Restart, want) {
		t.Errorf("at the next start: %v", c.Restart)
	}
	more := strings.Replace(base, "data_dir: /data", "data_dir: /data, listen: '*:5433', bin_dir: /x, bin_name: {postgres: y}, pgpass: /p, database: d", 1)
	reloaded, _, err := config.Parse(config.Input{Host: testHost(), Texts: []config.Text{
		{Source: "a.yml", Content: []byte(more + "watchdog: {mode: 'off', device: /dev/w}\nctl: {insecure: true}\n")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Changed(parsed(t, ""), reloaded); len(c.Settings) != 8 || len(c.Restart) > 0 {
		t.Errorf("a reload puts all of these in force: %+v", c)
	}
	if c := config.Changed(now, old); !slices.Contains(c.Settings, "log.level") {
		t.Errorf("a setting that was taken out is no change: %+v", c)
	}
}
