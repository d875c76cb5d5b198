package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quorate/internal/boottime"
)

const ms = int(time.Millisecond)

func attempt(start, end int, err string) Op {
	op := Op{ID: fmt.Sprint(start), Writer: "w", Start: boottime.Instant(start * ms), End: boottime.Instant(end * ms), Outcome: Acked}
	if err != "" {
		op.Outcome, op.Error = Failed, err
	}
	return op
}

func TestMeasureOutage(t *testing.T) {
	steady := []Op{attempt(1, 2, ""), attempt(101, 102, ""), attempt(111, 112, "")}
	for _, tc := range []struct {
		name  string
		ops   []Op
		fault int
		long  int // ms
		over  bool
		kinds string
	}{
		{"no record", nil, 5, 0, false, ""},
		{"a pause before the fault does not count", steady, 103, 10, true, "in flight"},
		{"a pause around the fault does", steady, 50, 100, true, "in flight"},
		{"errors, then an answer", []Op{
			attempt(1, 2, ""), attempt(10, 20, "reset"), attempt(21, 22, "refused"), attempt(31, 32, "refused"), attempt(40, 52, ""),
		}, 5, 50, true, "reset refused in flight"},
		{"an answer that comes late", []Op{attempt(1, 2, ""), attempt(10, 500, ""), attempt(501, 502, "")}, 100, 498, true, "in flight"},
		{"no end", []Op{attempt(1, 2, ""), attempt(3, 4, "refused"), attempt(9, 102, "refused")}, 2, 100, false, "refused"},
		{"the longest of several", []Op{attempt(1, 2, ""), attempt(5, 10, ""), attempt(11, 60, ""), attempt(61, 70, "")}, 1, 50, true, "in flight"},
		{"never acknowledged", []Op{attempt(1, 2, "refused")}, 1, 0, false, ""},
		{"another writer's commits do not end it", []Op{
			attempt(1, 2, ""), with(attempt(3, 4, ""), func(o *Op) { o.Writer = "other" }), attempt(90, 102, ""),
		}, 2, 100, true, "in flight"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := MeasureOutage(tc.ops, "w", boottime.Instant(tc.fault*ms))
			var kinds []string
			for _, p := range got.Phases {
				kinds = append(kinds, p.Kind)
			}
			if got.Duration != time.Duration(tc.long)*time.Millisecond || got.Over() != tc.over || strings.Join(kinds, " ") != tc.kinds {
				t.Errorf("%s (over: %v), want %d ms, over: %v, %s", got, got.Over(), tc.long, tc.over, tc.kinds)
			}
		})
	}
}
