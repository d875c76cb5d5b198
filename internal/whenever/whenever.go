// Package whenever reads the points in time that people type for scheduled work: what dateutil reads for Patroni, as far as it can
// mean one thing only. It is pure.
package whenever

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrUnclear says that a text is no point in time, or could be more than one.
var ErrUnclear = errors.New("no point in time, or one that can be read in more than one way; write it as 2026-11-24T20:27+01:00")

var (
	// A zone stands after a clock; UTC+3 is refused, because it means three hours east to people and three west to POSIX and to dateutil.
	zoneForm = regexp.MustCompile(`^(.*?[\d.a-z])[ ]?(z|utc|gmt|[+-]\d\d:?\d\d|[+-]\d\d)$`)
	hourForm = regexp.MustCompile(`(?:^|[ t])(\d{1,2}) ?([ap])\.?m\.?$`)
	colons   = regexp.MustCompile(`(?:^|[ t])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?(?: ?([ap])\.?m\.?)?(?: |$)`)
	letters  = regexp.MustCompile(`(?:^|[ t])(\d{1,2})h(?:(\d\d?)m?)?(?: |$)`)
	compact  = regexp.MustCompile(`^(\d{8})[ t]?(\d\d)(\d\d)(\d\d)?$`)
	isoClock = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[ t](\d\d)(\d\d)(\d\d)?$`)
	ordinal  = regexp.MustCompile(`\b(\d{1,2})(?:st|nd|rd|th)\b`)
	filler   = regexp.MustCompile(`\b(?:at|of|on|the)\b|,`)
	spaces   = regexp.MustCompile(`\s+`)

	yearFirst = regexp.MustCompile(`^(\d{4})([-/. ])(\d{1,2})([-/. ])(\d{1,2})$`)
	yearLast  = regexp.MustCompile(`^(\d{1,2})([-/.])(\d{1,2})([-/.])(\d{4})$`)
	digits    = regexp.MustCompile(`^(\d{4})(\d\d)(\d\d)$`)
	dayMonth  = regexp.MustCompile(`^(\d{1,2})[ -]?([a-z]{3,9})\.?(?:[ -](\d{4}))?$`)
	monthDay  = regexp.MustCompile(`^([a-z]{3,9})\.? (\d{1,2})(?: (\d{4}))?$`)
	dayOnly   = regexp.MustCompile(`^\d{1,2}$`)
)

// Parse reads a point in time. What is left out is today's, in now's location: the date, the year, or all but the day of the month; a
// weekday alone is the next one, today included; no clock is midnight. zoned says whether the text names its zone. An error is
// [ErrUnclear].
func Parse(text string, now time.Time) (at time.Time, zoned bool, err error) {
	s := ordinal.ReplaceAllString(strings.ToLower(text), "$1")
	s = strings.TrimSpace(spaces.ReplaceAllString(filler.ReplaceAllString(s, " "), " "))
	loc := now.Location()
	if m := zoneForm.FindStringSubmatch(s); m != nil && hasClock(m[1]) {
		if loc = zone(m[2]); loc == nil {
			return at, false, ErrUnclear
		}
		s, zoned = strings.TrimSpace(m[1]), true
	}
	clock, s, ok := takeClock(s)
	if !ok {
		return at, false, ErrUnclear
	}
	today := now.In(loc)
	day, ok := date(strings.TrimSpace(s), today)
	if !ok || s == "" && clock < 0 {
		return at, false, ErrUnclear
	}
	y, mo, d := day.Date()
	clock = max(0, clock)
	at = time.Date(y, mo, d, int(clock/time.Hour), int(clock/time.Minute%60), int(clock/time.Second%60), int(clock%time.Second), loc)
	return at, zoned, nil
}

func hasClock(s string) bool {
	c, _, ok := takeClock(s)
	return ok && c >= 0
}

func zone(s string) *time.Location {
	if s[0] != '+' && s[0] != '-' {
		return time.UTC
	}
	n := strings.ReplaceAll(s[1:], ":", "") + "00"
	h, m := number(n[:2]), number(n[2:4])
	if h > 14 || m > 59 {
		return nil
	}
	seconds := h*3600 + m*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds)
}

// takeClock takes the time of day out of s; negative: there is none. ok is false for one that cannot be.
func takeClock(s string) (clock time.Duration, rest string, ok bool) {
	var h, m, sec, frac, half string
	if x := compact.FindStringSubmatch(s); x != nil {
		rest, h, m, sec = x[1], x[2], x[3], x[4]
	} else if x := isoClock.FindStringSubmatch(s); x != nil {
		rest, h, m, sec = x[1], x[2], x[3], x[4]
	} else if i := colons.FindStringSubmatchIndex(s); i != nil {
		x := colons.FindStringSubmatch(s)
		h, m, sec, frac, half, rest = x[1], x[2], x[3], x[4], x[5], cut(s, i)
	} else if i := hourForm.FindStringSubmatchIndex(s); i != nil {
		x := hourForm.FindStringSubmatch(s)
		h, half, rest = x[1], x[2], cut(s, i)
	} else if i := letters.FindStringSubmatchIndex(s); i != nil {
		x := letters.FindStringSubmatch(s)
		h, m, rest = x[1], x[2], cut(s, i)
	} else {
		return -1, s, true
	}
	hour, minute, second := number(h), number(m), number(sec)
	if half != "" {
		if hour < 1 || hour > 12 {
			return 0, rest, false
		}
		hour %= 12
		if half == "p" {
			hour += 12
		}
	}
	if hour > 23 || minute > 59 || second > 59 {
		return 0, rest, false
	}
	nanos := number((frac + "000000000")[:9])
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + time.Duration(nanos), rest, true
}

// cut takes a match out of the middle of s.
func cut(s string, at []int) string { return strings.TrimSpace(s[:at[0]] + " " + s[at[1]:]) }

// date reads what is left when the clock has been taken out.
func date(s string, today time.Time) (time.Time, bool) {
	s, weekday := takeWeekday(s)
	y, mo, _ := today.Date()
	switch {
	case s == "" && weekday >= 0:
		return today.AddDate(0, 0, (weekday-int(today.Weekday())+7)%7), true
	case s == "":
		return today, true
	}
	if x := yearFirst.FindStringSubmatch(s); x != nil && x[2] == x[4] {
		return real(number(x[1]), number(x[3]), number(x[5]))
	}
	if x := digits.FindStringSubmatch(s); x != nil {
		return real(number(x[1]), number(x[2]), number(x[3]))
	}
	if x := yearLast.FindStringSubmatch(s); x != nil && x[2] == x[4] {
		return dayAndMonth(number(x[1]), number(x[3]), number(x[5]))
	}
	if x := dayMonth.FindStringSubmatch(s); x != nil {
		return real(yearOr(x[3], y), month(x[2]), number(x[1]))
	}
	if x := monthDay.FindStringSubmatch(s); x != nil {
		return real(yearOr(x[3], y), month(x[1]), number(x[2]))
	}
	if dayOnly.MatchString(s) {
		return real(y, int(mo), number(s))
	}
	return today, false
}

// dayAndMonth reads two numbers before a year: only one that cannot be a month tells which is the day.
func dayAndMonth(a, b, year int) (time.Time, bool) {
	switch {
	case a == b || a > 12:
		return real(year, b, a)
	case b > 12:
		return real(year, a, b)
	}
	return time.Time{}, false
}

func takeWeekday(s string) (rest string, day int) {
	for i := range 7 {
		name := strings.ToLower(time.Weekday(i).String())
		for _, n := range []string{name, name[:3]} {
			if cut, ok := strings.CutPrefix(s, n); ok && (cut == "" || cut[0] == ' ') {
				return strings.TrimSpace(cut), i
			}
			if cut, ok := strings.CutSuffix(s, " "+n); ok {
				return strings.TrimSpace(cut), i
			}
		}
	}
	return s, -1
}

func month(s string) int {
	for m := time.January; m <= time.December; m++ {
		name := strings.ToLower(m.String())
		if s == name || s == name[:3] || s == "sept" && m == time.September {
			return int(m)
		}
	}
	return 0
}

func yearOr(s string, year int) int {
	if s == "" {
		return year
	}
	return number(s)
}

// real is a day that the calendar has.
func real(y, m, d int) (time.Time, bool) {
	t := time.Date(y, time.Month(m), d, 12, 0, 0, 0, time.UTC)
	return t, m >= 1 && m <= 12 && d >= 1 && t.Day() == d && y > 0
}

// number reads digits, of which a form lets few enough through; "" is 0.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
