package raftstore

import "testing"

func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	var b burst
	at := uint64(10)
	look := func(entries uint64, times int) (n int) {
		for range times {
			if at += entries; b.over(at) {
				n++
			}
		}
		return n
	}
	if n := look(10, 100); n != 0 {
		t.Errorf("at an even pace: %d times", n)
	}
	if n := look(3000, 10); n != 0 {
		t.Errorf("within the burst: %d times", n)
	}
	if n := look(1, 100); n != 1 {
		t.Errorf("after the burst: %d times, want 1", n)
	}
	if n := look(2, 1000); n != 0 {
		t.Errorf("long after it: %d times", n)
	}
}
