package config_test

import (
	"slices"
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
	if c := config.Changed(now, old); !slices.Contains(c.Settings, "log.level") {
		t.Errorf("a setting that was taken out is no change: %+v", c)
	}
}
