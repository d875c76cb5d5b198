package postgres

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestParseLSN(t *testing.T) {
	for in, want := range map[string]LSN{"0/0": 0, "0/16B3748": 0x16B3748, "1/0": 1 << 32, "FFFFFFFF/FFFFFFFF": MaxLSN, "a/b": 0xA0000000B} {
		if got, err := ParseLSN(in); err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/", "0", "0/", "/0", "100000000/0", "0/123456789", "-1/0", "0/+1", "0/1_0", "0/G", "0/0/0", " 0/0"} {
		if got, err := ParseLSN(in); !errors.Is(err, ErrBadLSN) {
			t.Errorf("ParseLSN(%q) = %v, %v, want ErrBadLSN", in, got, err)
		}
	}
}

func TestLSNSubIsBounded(t *testing.T) {
	for _, c := range []struct {
		a, b LSN
		want int64
	}{{5, 3, 2}, {3, 5, -2}, {MaxLSN, 0, 1<<63 - 1}, {0, MaxLSN, -(1<<63 - 1)}, {7, 7, 0}} {
		if got := c.a.Sub(c.b); got != c.want {
			t.Errorf("%s - %s = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	f.Add("0/16B3748")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLSN(s)
		if err != nil {
			return
		}
		if again, err := ParseLSN(l.String()); err != nil || again != l {
			t.Fatalf("%q -> %s -> %s, %v", s, l, again, err)
		}
	})
}

const seg16 = 16 << 20

func TestWALFileNames(t *testing.T) {
	for _, c := range []struct {
		at   LSN
		size uint64
		name string
	}{
		{0x1000000, seg16, "000000030000000000000001"},
		{0x1FFFFFF, seg16, "000000030000000000000001"},
		{1 << 32, seg16, "000000030000000100000000"},
		{0xFF<<24 | 1<<40, seg16, "0000000300000100000000FF"},
		{1 << 32, 1 << 20, "000000030000000100000000"},
		{5 << 20, 1 << 20, "000000030000000000000005"},
	} {
		f := WALFileAt(3, c.at, c.size)
		if f.Name(c.size) != c.name {
			t.Errorf("%s in segments of %d: %s, want %s", c.at, c.size, f.Name(c.size), c.name)
		}
		if back, err := ParseWALFile(c.name, c.size); err != nil || back != f {
			t.Errorf("ParseWALFile(%s) = %+v, %v, want %+v", c.name, back, err, f)
		}
	}
	for _, bad := range []string{"", "00000002.history", "000000010000000000000001.partial", "000000010000000000000100", "00000000000000000000000A", "00000001000000000000000G"} {
		if f, err := ParseWALFile(bad, seg16); !errors.Is(err, ErrBadWALFile) {
			t.Errorf("ParseWALFile(%q) = %+v, %v", bad, f, err)
		}
	}
}

func FuzzParseWALFile(f *testing.F) {
	f.Add("000000010000000A000000FF", uint64(seg16))
	f.Fuzz(func(t *testing.T, s string, size uint64) {
		if size < 1<<20 || size > 1<<30 || size&(size-1) != 0 {
			return
		}
		w, err := ParseWALFile(s, size)
		if err != nil {
			return
		}
		if again, err := ParseWALFile(w.Name(size), size); err != nil || again != w {
			t.Fatalf("%q -> %+v -> %q", s, w, w.Name(size))
		}
	})
}

func TestRecordEnd(t *testing.T) {
	for _, c := range []struct {
		at   LSN
		len  uint32
		want LSN
	}{
		{0x152F188, 114, 0x152F200},                // a shutdown checkpoint in the middle of a page
		{0x1002000 - 120, 114, 0x1002000},          // ends with the page: the next page's header is the next record's
		{0x1002000 - 64, 114, 0x1002000 + 24 + 56}, // crosses into a page
		{0x2000000 - 64, 114, 0x2000000 + 40 + 56}, // crosses into a segment
		{0x1002000 - 8, 8168 + 16, 0x1004000 + 32}, // fills a whole page and 8 bytes of the next
		{0x1002018, 8168, 0x1004000},               // a page without its header
	} {
		if got := RecordEnd(c.at, c.len, seg16); got != c.want {
			t.Errorf("record of %d at %s ends at %s, want %s", c.len, c.at, got, c.want)
		}
	}
}

const history4 = "1\t0/3000060\tno recovery target specified\n\n2\t0/5000110\tbefore 2000-01-01\n# note\n3\t0/5000110\t\n"

func TestParseHistory(t *testing.T) {
	h, err := ParseHistory(4, history4)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Switches) != 3 || h.Begin() != 0x5000110 || h.Switches[0].Reason != "no recovery target specified" {
		t.Fatalf("%+v", h)
	}
	again, err := ParseHistory(4, h.String())
	if err != nil || !again.Equal(h) {
		t.Fatalf("%q reads as %+v, %v", h.String(), again, err)
	}
	for _, bad := range []string{"x\t0/1\n", "1\n", "1\t01\n", "0\t0/1\n", "4\t0/1\n", "2\t0/1\n1\t0/2\n", "1\t0/2\n2\t0/1\n", "1 0/1\n1 0/2"} {
		if h, err := ParseHistory(4, bad); !errors.Is(err, ErrBadHistory) {
			t.Errorf("ParseHistory(%q) = %+v, %v", bad, h, err)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add(uint32(4), history4)
	f.Fuzz(func(t *testing.T, tl uint32, s string) {
		h, err := ParseHistory(Timeline(tl), s)
		if err != nil {
			return
		}
		if again, err := ParseHistory(h.Timeline, h.String()); err != nil || !again.Equal(h) {
			t.Fatalf("%q -> %q: %v", s, h.String(), err)
		}
	})
}

func history(t Timeline, sw ...Switch) History { return History{Timeline: t, Switches: sw} }

func TestFork(t *testing.T) {
	one := history(1)
	two := history(2, Switch{Timeline: 1, End: 100})
	otherTwo := history(2, Switch{Timeline: 1, End: 140})
	three := history(3, Switch{Timeline: 1, End: 100}, Switch{Timeline: 2, End: 200})
	skipped := history(3, Switch{Timeline: 1, End: 100})
	for _, c := range []struct {
		name string
		a, b History
		want ForkPoint
	}{
		{"the same", two, two, ForkPoint{2, MaxLSN}},
		{"an ancestor", one, three, ForkPoint{1, 100}},
		{"one number, two timelines", two, otherTwo, ForkPoint{1, 100}},
		{"child", two, three, ForkPoint{2, 200}},
		{"both left timeline 1 at the same place", two, skipped, ForkPoint{1, 100}},
		{"a third from another second", otherTwo, three, ForkPoint{1, 100}},
	} {
		for _, swap := range []bool{false, true} {
			a, b := c.a, c.b
			if swap {
				a, b = b, a
			}
			if got, err := Fork(a, b); err != nil || got != c.want {
				t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
			}
		}
	}
	if _, err := Fork(history(3, Switch{Timeline: 2, End: 5}), one); !errors.Is(err, ErrNoCommonTimeline) {
		t.Errorf("unrelated histories: %v", err)
	}
}

func TestDiverge(t *testing.T) {
	upstream := history(2, Switch{Timeline: 1, End: 100})
	for _, c := range []struct {
		end  LSN
		want bool
		lost int64
	}{{99, false, 0}, {100, false, 0}, {101, true, 1}} {
		d, err := Diverge(history(1), c.end, upstream)
		if err != nil || d.Diverged != c.want || d.Bytes != c.lost {
			t.Errorf("log until %s: %+v, %v", c.end, d, err)
		}
	}
	if d, err := Diverge(upstream, 5000, upstream); err != nil || d.Diverged {
		t.Errorf("a standby of the same timeline diverged: %+v, %v", d, err)
	}
	// A member still on the later timeline while the upstream is on the older one has diverged as soon as it wrote anything.
	if d, err := Diverge(upstream, 180, history(1)); err != nil || !d.Diverged || d.Bytes != 80 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestLost(t *testing.T) {
	local := history(3, Switch{Timeline: 1, End: 100}, Switch{Timeline: 2, End: 200})
	got := Lost(local, ForkPoint{1, 90}, 250)
	want := []Stretch{{1, 90, 100}, {2, 100, 200}, {3, 200, 250}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if got := Lost(local, ForkPoint{3, 250}, 250); got != nil {
		t.Errorf("nothing lies behind the fork, yet %+v", got)
	}
}

// The twin: byte by byte, which timeline wrote the byte, and which instance of it (its beginning).
func TestForkAgainstTwin(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) History {
		var h History
		var end LSN
		n := rapid.IntRange(0, 3).Draw(t, "ancestors")
		tl := Timeline(1)
		for range n {
			end += LSN(rapid.IntRange(1, 4).Draw(t, "length"))
			h.Switches = append(h.Switches, Switch{Timeline: tl, End: end})
			tl += Timeline(rapid.IntRange(1, 2).Draw(t, "step"))
		}
		h.Timeline = tl
		return h
	})
	type byteOf struct {
		timeline Timeline
		begin    LSN
	}
	at := func(h History, l LSN) byteOf {
		for _, s := range h.Stretches() {
			if l < s.End {
				return byteOf{s.Timeline, s.Begin}
			}
		}
		panic("unreachable")
	}
	const far = 40
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		twin := LSN(0)
		for twin < far && at(a, twin) == at(b, twin) {
			twin++
		}
		if twin == far {
			twin = MaxLSN
		}
		if got, err := Fork(a, b); err != nil || got.LSN != twin {
			t.Fatalf("%+v and %+v: fork %s, twin %s, %v", a, b, got.LSN, twin, err)
		}
	})
}
