package ha

import "testing"

// TestMayNotLead: some write a number, some its text; Patroni shows either as it is written.
func TestMayNotLead(t *testing.T) {
	for _, c := range []struct {
		tags map[string]any
		want bool
	}{
		{nil, false},
		{map[string]any{"nofailover": true}, true},
		{map[string]any{"failover_priority": 0.0}, true},
		{map[string]any{"failover_priority": 2.0}, false},
		{map[string]any{"failover_priority": "0"}, true},
		{map[string]any{"nofailover": "true"}, true},
		{map[string]any{"nofailover": false, "failover_priority": 0.0}, false},
		{map[string]any{"nofailover": true, "failover_priority": 2.0}, true},
	} {
		if got := MayNotLead(c.tags); got != c.want {
			t.Errorf("%v: %v", c.tags, got)
		}
	}
}
