package ctl

import (
	"strings"
	"time"

	"quorate/internal/whenever"
)

// ParseSchedule reads a point in time; ok is false for "now" and "". A time without a zone is in now's, and what is left
// out is today's.
func ParseSchedule(text string, now time.Time) (at time.Time, ok bool, err error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "now" {
		return time.Time{}, false, nil
	}
	if at, _, err = whenever.Parse(text, now); err != nil {
		return at, false, unparsable(text)
	}
	return at, true, nil
}

// unparsable is the text of a time that cannot be read. The sentence is patronictl's.
type unparsable string

func (u unparsable) Error() string {
	return "Unable to parse scheduled timestamp (" + string(u) + "). It should be in an unambiguous format (e.g. ISO 8601)"
}

// ISO is a point in time as Python's isoformat writes it, which is what members expect.
func ISO(t time.Time) string {
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05-07:00")
	}
	return t.Format("2006-01-02T15:04:05.000000-07:00")
}

// Stamp is the moment in front of a line of output.
func Stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05") }
