package node

import (
	"testing"
	"time"

	"quorate/internal/boottime"
)

// A store that is away for an hour makes a line a minute for each kind of change, not one with every loop.
func TestFailedChangesAreToldOnce(t *testing.T) {
	var f failedChanges
	now := boottime.Now()
	said := 0
	for i := range 3600 {
		for _, what := range []string{"member", "status"} {
			if f.news(what, now.Add(time.Duration(i)*time.Second)) {
				said++
			}
		}
	}
	if said != 120 {
		t.Errorf("%d lines in an hour", said)
	}
	now = now.Add(time.Hour - time.Second)
	if f.news("member", now) {
		t.Error("told again at once")
	}
	if f.over(); !f.news("member", now) {
		t.Error("the next outage is not told of")
	}
}
