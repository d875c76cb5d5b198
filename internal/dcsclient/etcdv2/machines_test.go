package etcdv2

import (
	"testing"
	"time"
)

// Only what is certain counts: an answer says the second, and comes some time after the clock was read.
func TestWidest(t *testing.T) {
	s := func(host string, least, most time.Duration) span {
		return span{host, least * time.Millisecond, most * time.Millisecond}
	}
	for _, c := range []struct {
		spans []span
		gap   time.Duration
		pair  string
	}{
		{nil, 0, ""},
		{[]span{s("a", -1000, 5)}, 0, ""},
		{[]span{s("a", -900, 105), s("b", -200, 805)}, 0, ""},
		{[]span{s("a", -900, 105), s("b", 2100, 3105)}, 2 * time.Second, "ba"},
		{[]span{s("a", -900, 105), s("b", 2100, 3105), s("c", -5000, -3995)}, 6100 * time.Millisecond, "bc"},
	} {
		if gap, ahead, behind := widest(c.spans); gap != c.gap || ahead+behind != c.pair {
			t.Errorf("%v: %v between %s and %s, want %v and %s", c.spans, gap, ahead, behind, c.gap, c.pair)
		}
	}
}
