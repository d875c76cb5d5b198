package postgres

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log: a count of bytes since the cluster's beginning (manual, section 30.6). Positions of
// different timelines can be compared as numbers only up to the point where the timelines parted; see Fork.
type LSN uint64

// MaxLSN lies behind every position that a log can reach.
const MaxLSN LSN = math.MaxUint64

// ErrBadLSN is what ParseLSN returns, wrapped with the text that it was given.
var ErrBadLSN = errors.New("not a log position of the form X/Y")

// ParseLSN reads the form that PostgreSQL prints, two hexadecimal numbers of up to 32 bits with a slash between them.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("%q: %w", s, ErrBadLSN)
	}
	h, err := parseHex32(hi)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", s, ErrBadLSN)
	}
	l, err := parseHex32(lo)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", s, ErrBadLSN)
	}
	return LSN(h)<<32 | LSN(l), nil
}

// parseHex32 is strconv.ParseUint without the signs and underscores that PostgreSQL never prints.
func parseHex32(s string) (uint64, error) {
	if s == "" || len(s) > 8 || strings.ContainsAny(s, "+-_") {
		return 0, ErrBadLSN
	}
	return strconv.ParseUint(s, 16, 32)
}

// String is PostgreSQL's form, as pg_lsn prints it.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint64(l)&math.MaxUint32) }

// IsZero says whether l is unset: 0/0 is no position of any record (InvalidXLogRecPtr).
func (l LSN) IsZero() bool { return l == 0 }

// Sub is the number of bytes from o to l, negative when o lies ahead, and bounded to what an int64 holds.
func (l LSN) Sub(o LSN) int64 {
	if l >= o {
		return int64(min(uint64(l-o), math.MaxInt64))
	}
	return -int64(min(uint64(o-l), math.MaxInt64))
}

// Add is the position n bytes later.
func (l LSN) Add(n uint64) LSN { return l + LSN(n) }

// MarshalText makes an LSN readable in JSON and in logs.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	if err != nil {
		return err
	}
	*l = v
	return nil
}
