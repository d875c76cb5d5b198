package rest

import "testing"

func TestTags(t *testing.T) {
	for _, c := range []struct {
		tags     map[string]any
		out      bool
		priority int64
	}{
		{nil, false, 1},
		{map[string]any{"noloadbalance": true, "nofailover": true}, true, 0},
		{map[string]any{"noloadbalance": false, "nofailover": false}, false, 1},
		{map[string]any{"noloadbalance": "false", "nofailover": "off"}, false, 1},
		{map[string]any{"noloadbalance": "true", "nofailover": "yes"}, true, 0},
		{map[string]any{"noloadbalance": "anything"}, true, 1},
		{map[string]any{"noloadbalance": "", "failover_priority": int64(5)}, false, 5},
		{map[string]any{"noloadbalance": int64(1), "failover_priority": "7"}, true, 7},
		{map[string]any{"noloadbalance": int64(2), "failover_priority": 0}, true, 0},
		{map[string]any{"noloadbalance": 0.0, "failover_priority": "high"}, false, 1},
		{map[string]any{"nofailover": true, "failover_priority": int64(5)}, false, 0},
	} {
		if got := noLoadBalance(c.tags); got != c.out {
			t.Errorf("%v: noloadbalance %v", c.tags, got)
		}
		if got := failoverPriority(c.tags); got != c.priority {
			t.Errorf("%v: priority %d", c.tags, got)
		}
	}
}
