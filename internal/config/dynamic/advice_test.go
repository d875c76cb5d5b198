package dynamic_test

import (
	"strings"
	"testing"
	"time"

	"quorate/internal/config/dynamic"
)

func TestAdvice(t *testing.T) {
	own := dynamic.OwnProfile(500 * time.Millisecond)
	for _, c := range []struct {
		name string
		raw  map[string]any
		own  bool
		want string // a part of the only sentence; "": none
	}{
		{"defaults", nil, true, ""},
		{"a ttl for etcd", map[string]any{"ttl": 30}, true, "ttl is 30 s"},
		{"a ttl for etcd on etcd", map[string]any{"ttl": 30}, false, ""},
		{"ten seconds", map[string]any{"ttl": 10}, true, ""},
		{"strict alone", map[string]any{"synchronous_mode_strict": true}, true, "synchronous_mode_strict has no effect"},
		{"no slots", map[string]any{"postgresql": map[string]any{"use_slots": false}}, true, "use_slots is off"},
	} {
		d, _ := dynamic.Parse(c.raw, own)
		got := d.Advice(c.own)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
