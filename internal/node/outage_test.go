package node

import (
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
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

// A release of the leader key that the store does not take for ten minutes makes a line a minute; anything else that is decided on makes its own.
func TestARetriedChangeIsToldOnce(t *testing.T) {
	release := ha.Decision{Reason: ha.Reason{Code: ha.CodeFailingOver, Text: "giving up the lead"}, Actions: []ha.Action{ha.Commit{What: "release the lead"}}}
	start := ha.Decision{Reason: release.Reason, Actions: append([]ha.Action{ha.StartStandby{}}, release.Actions...)}
	var last echo
	told := 0
	count := func(d ha.Decision, at boottime.Instant) {
		var notable []string
		for _, a := range d.Actions {
			notable = append(notable, a.String())
		}
		if !retriedAgain(&last, d, notable, at) {
			told++
		}
	}
	now := boottime.Now()
	for i := range 200 {
		count(release, now.Add(time.Duration(3*i)*time.Second))
	}
	if told != 10 {
		t.Errorf("%d lines in ten minutes", told)
	}
	told, now = 0, now.Add(2*time.Hour)
	grant := ha.Decision{Reason: release.Reason, Actions: []ha.Action{ha.GrantLease{TTL: 20 * time.Second}}}
	for i := range 200 { // the two take turns
		count([]ha.Decision{release, grant}[i%2], now.Add(time.Duration(3*i)*time.Second))
	}
	if told != 20 {
		t.Errorf("%d lines of two kinds in ten minutes", told)
	}
	told = 0
	for _, d := range []ha.Decision{start, start, release, {Reason: release.Reason}, release} {
		count(d, now.Add(time.Hour))
	}
	if told != 5 {
		t.Errorf("%d of 5 decisions were told", told)
	}
}

// A wrong value is told once while it stands, and again when it is back after a correction.
func TestCorrectionsAreToldOnce(t *testing.T) {
	var c corrections
	wal, ttl := dynamic.Correction{Setting: "postgresql.parameters.wal_level"}, dynamic.Correction{Setting: "ttl"}
	for i, tc := range []struct {
		wrong []dynamic.Correction
		told  int
	}{
		{nil, 0}, {[]dynamic.Correction{wal}, 1}, {[]dynamic.Correction{wal}, 0}, {[]dynamic.Correction{wal, ttl}, 1}, {nil, 0}, {[]dynamic.Correction{wal}, 1},
	} {
		if got := c.news(tc.wrong); len(got) != tc.told {
			t.Errorf("%d: told %v", i, got)
		}
	}
}
