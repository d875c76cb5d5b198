package rest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The forms of a schedule: a date or none (today), a time, and a zone, which is mandatory because the nodes' zones may differ.
var (
	dateForms = []string{"2006-01-02T", "2006-01-02 ", "20060102T", "20060102 ", "2006/01/02 ", "2 Jan 2006 ", "Jan 2 2006 ", ""}
	timeForms = []string{"15:04:05.999999999", "15:04", "150405", "1504"}
	zoneForms = []string{"Z07:00", " Z07:00", "-0700", " -0700", "-07", " -07"}
)

// parseSchedule reads the moment for an action. Another code than 0 is for the answer, with the text.
func parseSchedule(text, action string, now time.Time) (at time.Time, code int, why string) {
	at, zoned, ok := parseMoment(strings.TrimSpace(text), now)
	switch {
	case !ok:
		return at, http.StatusUnprocessableEntity,
			"Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"
	case !zoned:
		return at, http.StatusBadRequest, fmt.Sprintf("Timezone information is mandatory for the scheduled %s", action)
	case at.Before(now):
		return at, http.StatusUnprocessableEntity, fmt.Sprintf("Cannot schedule %s in the past", action)
	}
	return at, 0, ""
}

// parseMoment reads a moment in any of the forms.
func parseMoment(text string, now time.Time) (at time.Time, zoned, ok bool) {
	for _, name := range []string{" UTC", " GMT", "UTC", "GMT", " utc", "z"} {
		if cut, found := strings.CutSuffix(text, name); found {
			text = cut + "Z"
			break
		}
	}
	for _, date := range dateForms {
		for _, clock := range timeForms {
			for _, zone := range zoneForms {
				if at, err := time.Parse(date+clock+zone, text); err == nil {
					return onDay(at, date, now), true, true
				}
			}
			if at, err := time.Parse(date+clock, text); err == nil {
				return onDay(at, date, now), false, true
			}
		}
	}
	return time.Time{}, false, false
}

// onDay puts a moment that was given without a date on today, in its own zone.
func onDay(at time.Time, dateForm string, now time.Time) time.Time {
	if dateForm != "" {
		return at
	}
	year, month, day := now.In(at.Location()).Date()
	return time.Date(year, month, day, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), at.Location())
}
