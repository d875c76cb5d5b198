package dynamic

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What a value must be, for messages that say first what was found.
var (
	errBool  = errors.New("expected on or off")
	errInt   = errors.New("expected a whole number")
	errBytes = errors.New("expected a number of bytes, or a number with B, kB, MB, GB or TB")
	errTime  = errors.New("expected a time: a number, or a number with us, ms, s, min, h or d")
	errRange = errors.New("expected a smaller number")
)

// SizeText is a number of bytes for people.
func SizeText(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x, i := float64(n), 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	return fmt.Sprintf("%.4g %s", x, units[i])
}

// Bool reads a truth value as Patroni does: a boolean, or one of on, true, yes, 1, off, false, no, 0 in any case.
func Bool(v any) (bool, error) {
	switch strings.ToLower(Text(v)) {
	case "on", "true", "yes", "1":
		return true, nil
	case "off", "false", "no", "0":
		return false, nil
	}
	return false, errBool
}

// Int reads a whole number, written as a number or as text.
func Int(v any) (int64, error) {
	if f, err := strconv.ParseFloat(Text(v), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return 0, errInt
}

// bytesOf and timesOf are PostgreSQL's units (manual section 20.1.1): case matters, and the multiplier of memory is 1024.
var (
	bytesOf = map[string]float64{"": 1, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
	timesOf = map[string]float64{
		"us": float64(time.Microsecond), "ms": float64(time.Millisecond), "s": float64(time.Second),
		"min": float64(time.Minute), "h": float64(time.Hour), "d": float64(24 * time.Hour),
	}
)

// Bytes reads an amount of memory: a number of bytes, or a number with one of PostgreSQL's units B, kB, MB, GB and TB.
func Bytes(v any) (int64, error) {
	number, unit, ok := split(v)
	if !ok {
		return 0, errBytes
	}
	factor, ok := bytesOf[unit]
	if !ok {
		return 0, errBytes
	}
	return bounded(number * factor)
}

// Duration reads a time: a number of base units, or a number with one of PostgreSQL's units us, ms, s, min, h and d.
func Duration(v any, base time.Duration) (time.Duration, error) {
	if d, ok := v.(time.Duration); ok {
		return d, nil
	}
	number, unit, ok := split(v)
	if !ok {
		return 0, errTime
	}
	factor, ok := timesOf[unit]
	if unit == "" {
		factor, ok = float64(base), true
	}
	if !ok {
		return 0, errTime
	}
	n, err := bounded(number * factor)
	return time.Duration(n), err
}

// split parts "10 MB" into 10 and "MB".
func split(v any) (number float64, unit string, ok bool) {
	text := strings.TrimSpace(Text(v))
	end := len(text)
	for end > 0 && isLetter(text[end-1]) {
		end--
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(text[:end]), 64)
	return number, text[end:], err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func bounded(f float64) (int64, error) {
	if math.Abs(f) >= 1<<62 {
		return 0, errRange
	}
	return int64(math.Round(f)), nil
}

// Text is a scalar as a person would write it in YAML: numbers without exponent, booleans as true and false, null as "".
func Text(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(x), 'f', -1, 32)
	}
	return fmt.Sprint(v)
}

// Quote is a value as an error message shows it: text in quotes, long values cut, and the kind of what is no scalar.
func Quote(v any) string {
	switch x := v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		if len(x) > 60 {
			x = x[:57] + "..."
		}
		return strconv.Quote(x)
	}
	return Text(v)
}

// GUC is a value as postgresql.conf takes it: booleans become on and off.
func GUC(v any) string {
	if b, ok := v.(bool); ok {
		if b {
			return "on"
		}
		return "off"
	}
	return Text(v)
}

// seconds shows a duration as the settings are written.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}
