package dynamic_test

import (
	"testing"
	"time"

	"quorate/internal/config/dynamic"
)

const (
	noBytes = "expected a number of bytes, or a number with B, kB, MB, GB or TB"
	noTime  = "expected a time: a number, or a number with us, ms, s, min, h or d"
)

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		in   any
		want int64
		err  string
	}{
		{1048576, 1048576, ""},
		{float64(1048576), 1048576, ""},
		{"16MB", 16 << 20, ""},
		{"1.5 kB", 1536, ""},
		{"2TB", 2 << 40, ""},
		{-1, -1, ""},
		{"1mb", 0, noBytes},
		{"much", 0, noBytes},
		{"", 0, noBytes},
		{"9e18TB", 0, `expected a smaller number`},
		{map[string]any{}, 0, noBytes},
	} {
		got, err := dynamic.Bytes(c.in)
		if got != c.want || text(err) != c.err {
			t.Errorf("Bytes(%v) = %d, %q; want %d, %q", c.in, got, text(err), c.want, c.err)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		in   any
		base time.Duration
		want time.Duration
		err  string
	}{
		{30, time.Second, 30 * time.Second, ""},
		{"30", time.Minute, 30 * time.Minute, ""},
		{"30min", time.Second, 30 * time.Minute, ""},
		{"500ms", time.Second, 500 * time.Millisecond, ""},
		{"0.5", time.Second, 500 * time.Millisecond, ""},
		{"2 d", time.Second, 48 * time.Hour, ""},
		{"3m", time.Second, 0, noTime},
		{nil, time.Second, 0, noTime},
		{"NaN", time.Second, 0, noTime},
	} {
		got, err := dynamic.Duration(c.in, c.base)
		if got != c.want || text(err) != c.err {
			t.Errorf("Duration(%v) = %v, %q; want %v, %q", c.in, got, text(err), c.want, c.err)
		}
	}
}

func TestBool(t *testing.T) {
	for _, yes := range []any{true, "on", "Yes", "1", 1, "TRUE"} {
		if b, err := dynamic.Bool(yes); err != nil || !b {
			t.Errorf("Bool(%v) = %v, %v", yes, b, err)
		}
	}
	for _, no := range []any{false, "off", "No", "0", 0, "false"} {
		if b, err := dynamic.Bool(no); err != nil || b {
			t.Errorf("Bool(%v) = %v, %v", no, b, err)
		}
	}
	for _, neither := range []any{nil, "", "maybe", 2, []any{true}} {
		if _, err := dynamic.Bool(neither); err == nil {
			t.Errorf("Bool(%v) has no error", neither)
		}
	}
}

func TestInt(t *testing.T) {
	for _, c := range []struct {
		in   any
		want int64
		ok   bool
	}{{5, 5, true}, {"7", 7, true}, {8.0, 8, true}, {-3, -3, true}, {1.5, 0, false}, {"x", 0, false}, {"1e300", 0, false}, {"Inf", 0, false}} {
		got, err := dynamic.Int(c.in)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("Int(%v) = %d, %v", c.in, got, err)
		}
	}
}

func TestGUC(t *testing.T) {
	for _, c := range []struct {
		in   any
		want string
	}{{true, "on"}, {false, "off"}, {100, "100"}, {1e6, "1000000"}, {0.25, "0.25"}, {"128MB", "128MB"}} {
		if got := dynamic.GUC(c.in); got != c.want {
			t.Errorf("GUC(%v) = %q, want %q", c.in, got, c.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
