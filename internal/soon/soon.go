// Package soon is how tests wait for what no event announces: the state of another process, of the kernel, of a cluster.
package soon

import (
	"testing"
	"time"
)

// pause is the time between two looks.
const pause = 2 * time.Millisecond

// Within looks until ok, and fails the test with what say tells when that takes longer than limit.
func Within(t testing.TB, limit time.Duration, say func() string, ok func() bool) {
	t.Helper()
	if ok() {
		return
	}
	look, end := time.NewTicker(pause), time.After(limit)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if ok() {
				return
			}
		case <-end:
			t.Fatalf("not within %s: %s", limit, say())
		}
	}
}

// True is Within with a text that is known beforehand.
func True(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	Within(t, limit, func() string { return what }, ok)
}
