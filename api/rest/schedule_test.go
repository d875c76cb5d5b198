package rest

import (
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-24T20:27:00+00:00":        "2026-11-24T20:27:00+00:00",
		"2026-11-24T20:27:00Z":             "2026-11-24T20:27:00+00:00",
		"2026-11-24 20:27 UTC":             "2026-11-24T20:27:00+00:00",
		"2026-11-24 20:27:01.5+0200":       "2026-11-24T20:27:01.500000+02:00",
		"2026-11-24 20:27 -07":             "2026-11-24T20:27:00-07:00",
		"2026-11-24 20:27:00.123456-03:30": "2026-11-24T20:27:00.123456-03:30",
		"20261124T202700Z":                 "2026-11-24T20:27:00+00:00",
		"24 Nov 2026 20:27 GMT":            "2026-11-24T20:27:00+00:00",
		"20:27Z":                           "2026-11-23T20:27:00+00:00",
		"01:00+14:00":                      "", // today in that zone is the 24th, and 01:00 there is an hour ago
		"2026-11-23T11:59:59Z":             "",
	} {
		at, code, why := parseSchedule(text, "restart", now)
		if want == "" {
			if code != 422 || why != "Cannot schedule restart in the past" {
				t.Errorf("%q: %v %d %q", text, at, code, why)
			}
			continue
		}
		if code != 0 || isoTime(at) != want {
			t.Errorf("%q: %s %d %q", text, isoTime(at), code, why)
		}
	}
	for _, text := range []string{"tomorrow", "", "2099-13-01T00:00Z", "2099-01-01T25:00Z", "Z", "10/11/2099 10:00Z"} {
		if _, code, _ := parseSchedule(text, "restart", now); code != 422 {
			t.Errorf("%q: %d", text, code)
		}
	}
	for _, text := range []string{"2099-01-01T00:00", "23:00", "2099-01-01 00:00:00", "2099-01-01", "12", "6:30pm"} {
		if _, code, _ := parseSchedule(text, "switchover", now); code != 400 {
			t.Errorf("%q: %d", text, code)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("2026-11-24T20:27:00+00:00")
	f.Add("20:27 UTC")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		at, code, _ := parseSchedule(text, "restart", now)
		if code != 0 {
			return
		}
		// What was accepted means the same when it is read back from the key.
		again, code, why := parseSchedule(isoTime(at), "restart", now)
		if code != 0 || !again.Equal(at.Truncate(time.Microsecond)) {
			t.Fatalf("%q became %s, which is %v (%s)", text, isoTime(at), again, why)
		}
	})
}
