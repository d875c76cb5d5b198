package rest

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Patroni reads sizes as PostgreSQL reads parameters (guc.c, parse_int): C's number formats, then a unit.
var (
	hexNumber   = regexp.MustCompile(`^[-+]?0x[0-9a-fA-F]+`)
	octalNumber = regexp.MustCompile(`^[-+]?0[0-7]*`)
	wholeNumber = regexp.MustCompile(`^[-+]?[1-9][0-9]*`)
	realNumber  = regexp.MustCompile(`^[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?`)
)

// sizeUnits are PostgreSQL's units of memory, each with the unit to whose multiple a fraction of it is rounded.
var sizeUnits = map[string]struct{ bytes, step float64 }{
	"B":  {1, 1},
	"kB": {1 << 10, 1},
	"MB": {1 << 20, 1 << 10},
	"GB": {1 << 30, 1 << 20},
	"TB": {1 << 40, 1 << 30},
}

// ParseSize reads an amount of bytes as the query parameter lag takes it: "1048576", "16MB", "1.5 GB", "0x400 kB". It reports
// false for what is none; what is too large for an int64 is the largest int64.
func ParseSize(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	n, rest, ok := number(text)
	if !ok {
		return 0, false
	}
	unit := strings.TrimSpace(rest)
	if unit == "" {
		return clamp(n), true
	}
	u, ok := sizeUnits[unit]
	if !ok {
		return 0, false
	}
	return clamp(math.RoundToEven(n*u.bytes/u.step) * u.step), true
}

// number takes the number at the start of text: a whole one, or a real one where the whole one would end at a point or exponent.
func number(text string) (n float64, rest string, ok bool) {
	n, rest, ok = whole(text)
	if ok && (rest == "" || !strings.ContainsAny(rest[:1], ".eE")) || !ok && !strings.HasPrefix(text, ".") {
		return n, rest, ok
	}
	m := realNumber.FindString(text)
	if m == "" {
		return 0, text, false
	}
	n, err := strconv.ParseFloat(m, 64)
	return n, text[len(m):], err == nil || !math.IsNaN(n)
}

func whole(text string) (n float64, rest string, ok bool) {
	for _, f := range []struct {
		form *regexp.Regexp
		base int
	}{{hexNumber, 16}, {octalNumber, 8}, {wholeNumber, 10}} {
		m := f.form.FindString(text)
		if m == "" {
			continue
		}
		digits := strings.TrimLeft(m, "+-")
		if f.base == 16 {
			digits = digits[2:]
		}
		u, err := strconv.ParseUint(digits, f.base, 64)
		n = float64(u)
		if err != nil {
			n = math.Inf(1)
		}
		if strings.HasPrefix(m, "-") {
			n = -n
		}
		return n, text[len(m):], true
	}
	return 0, text, false
}

func clamp(n float64) int64 {
	n = math.RoundToEven(n)
	switch {
	case n >= math.MaxInt64:
		return math.MaxInt64
	case n <= math.MinInt64:
		return math.MinInt64
	}
	return int64(n)
}
