package dynamic_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"quorate/internal/config/dynamic"
)

func TestTimingFor(t *testing.T) {
	for _, c := range []struct {
		ttl                    time.Duration
		renew, margin, usable  time.Duration
		watchdogMargin, router time.Duration
	}{
		{3 * time.Second, 500 * time.Millisecond, 300 * time.Millisecond, 2700 * time.Millisecond, 1500 * time.Millisecond, time.Second},
		{time.Second, time.Second / 6, 150 * time.Millisecond, 850 * time.Millisecond, 500 * time.Millisecond, time.Second / 3},
		{30 * time.Second, 5 * time.Second, 3 * time.Second, 27 * time.Second, 5 * time.Second, 10 * time.Second},
	} {
		got := dynamic.TimingFor(c.ttl)
		want := dynamic.Timing{TTL: c.ttl, Renew: c.renew, RenewMember: c.ttl / 3, Margin: c.margin, WatchdogMargin: c.watchdogMargin, RouterConfirm: c.router}
		if got != want {
			t.Errorf("TimingFor(%v) = %+v, want %+v", c.ttl, got, want)
		}
		if got.Usable() != c.usable {
			t.Errorf("ttl %v: usable %v, want %v", c.ttl, got.Usable(), c.usable)
		}
	}
}

// The relations that the safety of the lease, and the freedom from needless failovers, rest on hold for every ttl that is allowed.
func TestTimingRelations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		election := time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(10*time.Second)).Draw(t, "election"))
		least := dynamic.MinTTL(election)
		if least < 6*election {
			t.Fatalf("MinTTL(%v) = %v is under six election timeouts", election, least)
		}
		ttl := least + time.Duration(rapid.IntRange(0, 120).Draw(t, "more"))*time.Second
		x := dynamic.TimingFor(ttl)
		if !x.SurvivesElection(election) {
			t.Fatalf("ttl %v does not survive an election of %v", ttl, election)
		}
		if x.Renew+x.Margin >= x.TTL/2 {
			t.Fatalf("ttl %v: renewal %v and margin %v leave no time for a second try", ttl, x.Renew, x.Margin)
		}
		if x.WatchdogTimeout() <= x.Renew || x.WatchdogTimeout() >= x.TTL {
			t.Fatalf("ttl %v: watchdog timeout %v", ttl, x.WatchdogTimeout())
		}
	})
}

func TestSurvivesElectionAtDefaults(t *testing.T) {
	if !dynamic.TimingFor(3 * time.Second).SurvivesElection(500 * time.Millisecond) {
		t.Error("the default ttl does not survive an election at the default timeout")
	}
	if dynamic.TimingFor(2 * time.Second).SurvivesElection(500 * time.Millisecond) {
		t.Error("a ttl of 2 s cannot survive elections of 500 ms")
	}
}
