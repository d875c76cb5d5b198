package haapi

import (
	"encoding/json"
	"testing"
)

// The status of a primary on timeline 7: a former primary with log behind the fork is sent timeline 6 up to the fork, and is "streaming" meanwhile.
func TestStreamsTo(t *testing.T) {
	var lead status
	if err := json.Unmarshal([]byte(`{"timeline": 7, "replication": [
		{"application_name": "pg1", "client_addr": "10.77.0.1", "state": "streaming"},
		{"application_name": "pg3", "client_addr": "10.77.0.3", "state": "catchup"}]}`), &lead); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, addr string
		timeline   int
		follows    bool
	}{
		{"it follows", "10.77.0.1", 7, true},
		{"it is sent the old timeline", "10.77.0.1", 6, false},
		{"it catches up", "10.77.0.3", 7, false},
		{"nothing is sent to it", "10.77.0.2", 7, false},
	} {
		if err := lead.streamsTo(test.addr, status{Timeline: test.timeline}); (err == nil) != test.follows {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
