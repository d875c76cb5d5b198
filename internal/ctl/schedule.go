package ctl

import (
	"fmt"
	"strings"
	"time"
)

// layouts are the forms of a point in time that are understood: ISO 8601 with a T or a space, with or without seconds and a zone.
var layouts = func() []string {
	var out []string
	for _, day := range []string{"2006-01-02T", "2006-01-02 ", "20060102T"} {
		for _, clock := range []string{"15:04:05.999999999", "15:04:05", "15:04", "1504", "150405"} {
			for _, zone := range []string{"", "Z07:00", "Z0700", "Z07", " Z07:00", " Z0700", " MST"} {
				out = append(out, day+clock+zone)
			}
		}
	}
	return out
}()

// ParseSchedule reads a point in time; ok is false for "now" and "". A time without a zone is in the given one.
func ParseSchedule(text string, local *time.Location) (at time.Time, ok bool, err error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "now" {
		return time.Time{}, false, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, local); err == nil {
			return t, true, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("unable to parse scheduled timestamp (%s). It should be in an unambiguous format (e.g. ISO 8601)", text)
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
