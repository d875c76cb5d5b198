package node

import (
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy"
)

// A replica lags by the time since the primary was first seen ahead of it; with nothing left to replay it does not lag.
func TestLagClock(t *testing.T) {
	var l lagClock
	at := boottime.Instant(0).Add(time.Hour)
	see := func(after time.Duration, rev, position, behind int64) time.Duration {
		t.Helper()
		tab := proxy.Table{Term: proxy.Term{Cluster: 1, Rev: rev}, Position: position, Backends: []proxy.Backend{
			{Name: "a", Role: proxy.RolePrimary, LagTime: -1}, {Name: "b", Role: proxy.RoleReplica, LagBytes: behind, LagTime: -1},
		}}
		l.fill(&tab, at.Add(after))
		if tab.Backends[0].LagTime != 0 {
			t.Errorf("the primary lags by %s", tab.Backends[0].LagTime)
		}
		return tab.Backends[1].LagTime
	}
	for _, row := range []struct {
		after            time.Duration
		rev, pos, behind int64
		want             time.Duration
	}{
		{0, 1, 100, 0, 0},
		{time.Second, 1, 200, 100, 0},                   // ahead since now
		{3 * time.Second, 1, 300, 200, 2 * time.Second}, // it is at 100, which the primary left at 1 s
		{4 * time.Second, 1, 300, 50, time.Second},      // at 250, which the primary passed at 3 s
		{9 * time.Second, 1, 300, 0, 0},                 // all is replayed, however long ago it was written
		{10 * time.Second, 1, 300, -1, -1},              // unknown stays unknown
		{11 * time.Second, 2, 50, 10, 0},                // a new term may begin lower, and remembers nothing
		{13 * time.Second, 2, 50, 10, 2 * time.Second},
	} {
		if got := see(row.after, row.rev, row.pos, row.behind); got != row.want {
			t.Errorf("after %s, %d bytes behind %d: %s, want %s", row.after, row.behind, row.pos, got, row.want)
		}
	}
}

// The memory is bounded: lag beyond it is told as at least what is remembered.
func TestLagClockIsBounded(t *testing.T) {
	var l lagClock
	at := boottime.Instant(0).Add(time.Hour)
	for i := range int64(3 * maxMarks) {
		l.note(proxy.Term{Rev: 1}, i+1, at.Add(time.Duration(i)*time.Second))
	}
	if len(l.marks) != maxMarks {
		t.Errorf("%d marks", len(l.marks))
	}
	if got, want := l.since(0, at.Add(3*maxMarks*time.Second)), maxMarks*time.Second; got != want {
		t.Errorf("lag %s, want %s", got, want)
	}
}
