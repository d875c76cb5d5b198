package postgres

import (
	"math"
	"strconv"
	"strings"
)

// Units of parameters (manual, section 20.1.1): factors to bytes and to microseconds.
var (
	memoryUnits = map[string]float64{"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "8kB": 8 << 10, "16MB": 16 << 20}
	timeUnits   = map[string]float64{"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6}
)

// ParseBool reads a boolean parameter: on, true, yes, 1 and unique beginnings of the words.
func ParseBool(s string) (v, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" || s == "o" {
		return false, false
	}
	for _, w := range []string{"on", "true", "yes", "1"} {
		if strings.HasPrefix(w, s) {
			return true, true
		}
	}
	for _, w := range []string{"off", "false", "no", "0"} {
		if strings.HasPrefix(w, s) {
			return false, true
		}
	}
	return false, false
}

// ParseInUnit reads a number with an optional unit and returns it in base, a unit as pg_settings.unit names it ("8kB", "ms", "MB"; ""
// for none). ok is false for what is no number or whose unit is of another kind.
func ParseInUnit(s, base string) (v float64, ok bool) {
	s = strings.TrimSpace(s)
	n := len(s)
	for n > 0 && !(s[n-1] >= '0' && s[n-1] <= '9' || s[n-1] == '.') {
		n--
	}
	num, unit := strings.TrimSpace(s[:n]), strings.TrimSpace(s[n:])
	v, err := strconv.ParseFloat(num, 64)
	if err != nil {
		i, err := strconv.ParseInt(num, 0, 64) // PostgreSQL takes 0x10 and 010, too
		if err != nil {
			return 0, false
		}
		v = float64(i)
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, false
	}
	if unit == "" {
		return v, true
	}
	for _, table := range []map[string]float64{memoryUnits, timeUnits} {
		from, okFrom := table[unit]
		to, okTo := table[base]
		if okFrom && okTo {
			return v * from / to, true
		}
	}
	return 0, false
}

// SameValue says whether two texts mean the same value of a parameter of the given type (pg_settings.vartype: bool, integer, real, enum,
// string) and unit.
func SameValue(vartype, unit, a, b string) bool {
	switch vartype {
	case "bool":
		x, okX := ParseBool(a)
		y, okY := ParseBool(b)
		return okX && okY && x == y
	case "integer", "real":
		x, okX := ParseInUnit(a, unit)
		y, okY := ParseInUnit(b, unit)
		if vartype == "integer" {
			x, y = math.Round(x), math.Round(y)
		}
		return okX && okY && x == y
	case "enum":
		return strings.EqualFold(a, b)
	}
	return a == b
}
