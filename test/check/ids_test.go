package check

import (
	"strings"
	"testing"
)

func TestCheckIDs(t *testing.T) {
	ops := []Op{
		{ID: "acked", Outcome: Acked},
		{ID: "unknown-there", Outcome: Unknown},
		{ID: "unknown-gone", Outcome: Unknown},
		{ID: "failed", Outcome: Failed},
	}
	good := map[string]int{"acked": 1, "unknown-there": 1}
	for _, tc := range []struct {
		name    string
		found   map[string]int
		mayLose int
		want    string // in the error; empty for none
	}{
		{"sound", good, 0, ""},
		{"lost", map[string]int{"unknown-there": 1}, 0, "1 acknowledged commits are lost"},
		{"lost as reported", map[string]int{"unknown-there": 1}, 1, ""},
		{"all lost", nil, 0, "lost (0 may be), the first of them acked"},
		{"ghost", map[string]int{"acked": 1, "failed": 1}, 0, "refused writes are there"},
		{"phantom", map[string]int{"acked": 1, "nobody": 1}, 0, "nobody wrote, the first of them nobody"},
		{"duplicate", map[string]int{"acked": 2}, 0, "more than once, the first of them acked"},
		{"unknown twice", map[string]int{"acked": 1, "unknown-there": 2}, 0, "more than once"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := CheckIDs(ops, tc.found).Err(tc.mayLose)
			switch {
			case err == nil && tc.want != "":
				t.Errorf("content with a history that must fail: %s", tc.want)
			case err != nil && (tc.want == "" || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	r := CheckIDs(ops, good)
	if r.Acked != 1 || r.Unknown != 2 || r.Failed != 1 || len(r.Recovered) != 1 || len(r.Lost) != 0 {
		t.Errorf("counts: %s", r)
	}
}
