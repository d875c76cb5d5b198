package logline

import (
	"fmt"
	"time"
)

// isoMillis is the time of a line without a date format: ISO 8601 with a comma before the milliseconds.
const isoMillis = "2006-01-02 15:04:05,000"

// AppendTime writes a time in strftime's notation; with an empty format as Python's logging does by default.
func AppendTime(b []byte, t time.Time, format string) []byte {
	if format == "" {
		return t.AppendFormat(b, isoMillis)
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b = append(b, format[i])
			continue
		}
		i++
		b = appendDirective(b, t, format[i])
	}
	return b
}

// directives are those that Go's layouts have, too (strftime(3), C locale).
var directives = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02",
	'h': "Jan", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06",
	'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func appendDirective(b []byte, t time.Time, d byte) []byte {
	if layout, ok := directives[d]; ok {
		return t.AppendFormat(b, layout)
	}
	switch d {
	case '%':
		return append(b, '%')
	case 'f': // not strftime's; people expect Python's datetime
		return fmt.Appendf(b, "%06d", t.Nanosecond()/1000)
	case 's':
		return fmt.Appendf(b, "%d", t.Unix())
	case 'u':
		return fmt.Appendf(b, "%d", (int(t.Weekday())+6)%7+1)
	case 'w':
		return fmt.Appendf(b, "%d", int(t.Weekday()))
	case 'G':
		year, _ := t.ISOWeek()
		return fmt.Appendf(b, "%d", year)
	case 'V':
		_, week := t.ISOWeek()
		return fmt.Appendf(b, "%02d", week)
	case 'n':
		return append(b, ' ') // a record is one line
	}
	return append(b, '%', d)
}
