package proxy

import (
	"errors"
	"testing"
)

func TestCapacity(t *testing.T) {
	listeners := func(max ...int) (o Options) {
		for _, m := range max {
			o.Listeners = append(o.Listeners, ListenerOptions{MaxSessions: m})
		}
		return o
	}
	for name, c := range map[string]struct {
		o     Options
		limit uint64
		want  int
		bad   bool
	}{
		"no limit of ours":          {o: listeners(0, 0), limit: 1024, want: 384},
		"one without":               {o: listeners(1000, 0), limit: 1024, want: 384},
		"just enough":               {o: listeners(384), limit: 1024, want: 384},
		"too many":                  {o: listeners(200, 185), limit: 1024, bad: true},
		"hardly any descriptors":    {o: listeners(0), limit: 257, bad: true},
		"no limit of the system at": {o: listeners(10000), limit: 1 << 63, want: (1<<30 - 256) / 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.o.capacity(c.limit)
			if got != c.want || errors.Is(err, ErrDescriptors) != c.bad {
				t.Fatalf("%d, %v; want %d", got, err, c.want)
			}
		})
	}
}
