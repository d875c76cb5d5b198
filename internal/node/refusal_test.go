package node

import (
	"errors"
	"testing"
	"time"

	"quorate/internal/boottime"
)

func TestRefusalsAreToldOnce(t *testing.T) {
	var r refusals
	t0 := boottime.Now()
	for i, tc := range []struct {
		err  string
		at   time.Duration
		news bool
	}{
		{"stale", 0, true},
		{"stale", time.Millisecond, false},
		{"no deadline", 2 * time.Millisecond, true},
		{"stale", 3 * time.Millisecond, false}, // two that take turns are told once each
		{"stale", 9 * time.Second, false},
		{"stale", refusalAgain + time.Second, true},
	} {
		if got := r.news(errors.New(tc.err), t0.Add(tc.at)); got != tc.news {
			t.Errorf("%d: %q after %v: %v", i, tc.err, tc.at, got)
		}
	}
}
