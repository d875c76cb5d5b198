package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"quorate/test/check"
)

func TestMedianIsAMeasuredFigure(t *testing.T) {
	for _, tc := range []struct{ in, want []time.Duration }{
		{nil, []time.Duration{0}},
		{[]time.Duration{3}, []time.Duration{3}},
		{[]time.Duration{9, 1, 5}, []time.Duration{5}},
		{[]time.Duration{9, 1, 5, 3}, []time.Duration{5}},
	} {
		if got := median(tc.in); got != tc.want[0] {
			t.Errorf("median of %v is %d, want %d", tc.in, got, tc.want[0])
		}
	}
}

func TestTable(t *testing.T) {
	r := row{name: "host lost"}
	r.add(measurement{outage: check.Outage{Duration: 3 * time.Second}, rejoin: time.Second, lost: 2})
	r.add(measurement{outage: check.Outage{Duration: 4 * time.Second}, rejoin: 5 * time.Second, violations: 1})
	var b strings.Builder
	if err := writeTable(&b, benchOptions{stack: "quorate", synchronous: true}, 2, []row{r, {name: "never run"}}); err != nil {
		t.Fatal(err)
	}
	if want := "| host lost | 4.00 | 4.00 | 5.0 | 5.0 | 2 | 1 |\n"; !strings.HasSuffix(b.String(), want) || !strings.HasPrefix(b.String(), "quorate, synchronous, 2 runs") {
		t.Errorf("table:\n%s", b.String())
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	self := os.Getpid()
	pss, err := pssOf(self)
	if err != nil || pss < 1<<20 {
		t.Errorf("this process has a PSS of %d: %v", pss, err)
	}
	if _, err := cpuOf(self); err != nil {
		t.Error(err)
	}
}
