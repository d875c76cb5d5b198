package nearest_test

import (
	"testing"

	"quorate/internal/config/nearest"
)

func TestWord(t *testing.T) {
	known := []string{"ttl", "loop_wait", "retry_timeout", "postgresql", "restapi", "slots", "pause"}
	for _, c := range []struct{ in, want string }{
		{"tll", "ttl"},
		{"loop_wiat", "loop_wait"},
		{"retry-timeout", "retry_timeout"},
		{"postgres", "postgresql"},
		{"rest_api", "restapi"},
		{"slot", "slots"},
		{"watchdog", ""},
		{"", ""},
		{"x", ""},
	} {
		if got := nearest.Word(c.in, known); got != c.want {
			t.Errorf("Word(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestWordPrefersTheNearer(t *testing.T) {
	if got := nearest.Word("keyfile", []string{"certfile", "key_file", "cafile"}); got != "key_file" {
		t.Errorf("got %q", got)
	}
}
