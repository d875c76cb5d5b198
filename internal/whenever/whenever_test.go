package whenever

import (
	"testing"
	"time"
)

var zurich = time.FixedZone("CET", 3600)

// now is a Friday, 14:05 in a zone an hour east.
var now = time.Date(2026, 11, 27, 14, 5, 0, 0, zurich)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"1":                                 "2026-11-01T00:00:00+01:00",
		"12":                                "2026-11-12T00:00:00+01:00",
		"6:30pm":                            "2026-11-27T18:30:00+01:00",
		"6pm":                               "2026-11-27T18:00:00+01:00",
		"12 am":                             "2026-11-27T00:00:00+01:00",
		"12:10 PM":                          "2026-11-27T12:10:00+01:00",
		"10h30m":                            "2026-11-27T10:30:00+01:00",
		"10:30 tuesday":                     "2026-12-01T10:30:00+01:00",
		"Fri 18:00":                         "2026-11-27T18:00:00+01:00",
		"24.11.2026 10:00":                  "2026-11-24T10:00:00+01:00",
		"11/24/2026 10:00Z":                 "2026-11-24T10:00:00Z",
		"24/11/2026 10:00":                  "2026-11-24T10:00:00+01:00",
		"11/11/2026 10:00":                  "2026-11-11T10:00:00+01:00",
		"Nov 24 10:00 UTC":                  "2026-11-24T10:00:00Z",
		"Nov 24 2026 10:00:05":              "2026-11-24T10:00:05+01:00",
		"Tue, 24 Nov 2026 20:27:00 +0100":   "2026-11-24T20:27:00+01:00",
		"24 November 2026 8 pm":             "2026-11-24T20:00:00+01:00",
		"24th of November 2026 at 8:05":     "2026-11-24T08:05:00+01:00",
		"20:27:00+01":                       "2026-11-27T20:27:00+01:00",
		"20:27Z":                            "2026-11-27T20:27:00Z",
		"2099-01-01":                        "2099-01-01T00:00:00+01:00",
		"2099 01 01 00:00Z":                 "2099-01-01T00:00:00Z",
		"2026-11-24T20:27:00+00:00":         "2026-11-24T20:27:00Z",
		"2026-11-24 20:27:00.123456-03:30":  "2026-11-24T20:27:00.123456-03:30",
		"2026-11-24 20:27 -07":              "2026-11-24T20:27:00-07:00",
		"2026-11-24 2027 GMT":               "2026-11-24T20:27:00Z",
		"20261124T202700Z":                  "2026-11-24T20:27:00Z",
		"20261124203000":                    "2026-11-24T20:30:00+01:00",
		"202611242030+0100":                 "2026-11-24T20:30:00+01:00",
		"2026-11-27 07:19:10.123456+00:00 ": "2026-11-27T07:19:10.123456Z",
		"2026/11/24 20:27:01 UTC":           "2026-11-24T20:27:01Z",
	} {
		at, _, err := Parse(text, now)
		if got := at.Format(time.RFC3339Nano); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "Z", "now", "tomorrow", "99:00", "13pm", "0 am", "20991301", "2026-02-30", "31 Nov", "10:30 UTC+3", "10/11/2026 10:00", "2026-11", "2026", "1030", "20:27 +25:00",
		"10:30 10:40", "1 2", "Nov", "Foo 24 2026", "0", "2026-11-24 10:30 EST", "10:30-", "-1", "2026-11/24",
	} {
		if at, _, err := Parse(text, now); err == nil {
			t.Errorf("%q is read as %s", text, at)
		}
	}
}

func TestZoned(t *testing.T) {
	for text, want := range map[string]bool{
		"20:27Z": true, "20:27 utc": true, "20:27:00.5-0300": true, "20:27": false, "2026-11-24": false, "2026-11-24 20:27": false, "20:27 pm": false, "24-11-2026": false,
	} {
		if _, zoned, _ := Parse(text, now); zoned != want {
			t.Errorf("%q: zoned is %v", text, zoned)
		}
	}
}

// FuzzParse holds that whatever is read means the same when it is written in full.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"6:30pm", "24th of Nov 2026 at 8:05 Z", "2026-11-24T20:27:00.5+01:00", "1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, _, err := Parse(text, now)
		if err != nil {
			return
		}
		full := at.Format(time.RFC3339Nano)
		again, zoned, err := Parse(full, now)
		if err != nil || !zoned || !again.Equal(at) {
			t.Fatalf("%q is %s, which is %v, %v, %v", text, full, again, zoned, err)
		}
	})
}
