package proxy

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	var r rate
	at := func(ms int) time.Duration { return 100*time.Second + time.Duration(ms)*time.Millisecond }
	for range 10 {
		r.tick(at(500))
	}
	for _, c := range []struct {
		ms   int
		want int64
	}{{600, 10}, {1000, 10}, {1500, 5}, {1900, 1}, {2000, 0}} {
		now := r
		if got := now.read(at(c.ms)); got != c.want {
			t.Errorf("after %d ms: %d, want %d", c.ms, got, c.want)
		}
	}
	r.tick(at(1500))
	if got := r.read(at(1500)); got != 6 || r.most != 10 {
		t.Errorf("rate %d, most %d", got, r.most)
	}
	r.tick(at(9000))
	if got := r.read(at(9500)); got != 1 {
		t.Errorf("after a pause: %d", got)
	}
}

func TestAverage(t *testing.T) {
	var a average
	if a.read() != 0 {
		t.Error("of nothing")
	}
	a.add(10 * time.Millisecond)
	a.add(20 * time.Millisecond)
	if got := a.read(); got != 15*time.Millisecond || a.most != 20*time.Millisecond {
		t.Errorf("%v, at most %v", got, a.most)
	}
	for range 20 * window {
		a.add(time.Second)
	}
	if got := a.read(); got < 990*time.Millisecond || got > time.Second {
		t.Errorf("the past is not forgotten: %v", got)
	}
}
