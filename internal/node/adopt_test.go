package node

import (
	"errors"
	"testing"
)

func TestTakeCharge(t *testing.T) {
	gone := errors.New("no such process")
	for name, c := range map[string]struct {
		later   []int // what runs each time that somebody looks
		refused map[int]error
		want    int
		err     error
	}{
		"it runs":                       {want: 7},
		"it ends before it is adopted":  {later: []int{0}, refused: map[int]error{7: gone}},
		"another one runs by now":       {later: []int{8}, refused: map[int]error{7: gone}, want: 8},
		"that one ends as well":         {later: []int{8, 0}, refused: map[int]error{7: gone, 8: gone}},
		"it runs and cannot be adopted": {later: []int{7}, refused: map[int]error{7: gone}, err: gone},
	} {
		running := func() int {
			now := c.later[0]
			c.later = c.later[1:]
			return now
		}
		pid, err := takeCharge(7, running, func(pid int) error { return c.refused[pid] })
		if pid != c.want || err != c.err {
			t.Errorf("%s: process %d and %v, want %d and %v", name, pid, err, c.want, c.err)
		}
	}
}
