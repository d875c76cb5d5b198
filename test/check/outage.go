package check

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"quorate/internal/boottime"
)

// Outage is the longest time without an acknowledged commit.
type Outage struct {
	From, To boottime.Instant // the acknowledgements around it; To is zero when none came any more
	Duration time.Duration    // from the one to the other; to the end of the record when none came any more
	Phases   []Phase          // what the attempts in between met, in order of time
}

// Phase is a run of attempts in an outage that ended in the same way.
type Phase struct {
	Kind     string // the error's kind; "in flight" for the attempt whose acknowledgement ended the outage
	Attempts int
	Offset   time.Duration // of the first attempt's end, from the outage's beginning
	Long     time.Duration // from the first attempt's start to the last one's end
}

// Over says whether commits were acknowledged again.
func (o Outage) Over() bool { return !o.To.IsZero() }

func (o Outage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.3f s without a commit", o.Duration.Seconds())
	if !o.Over() {
		b.WriteString(" and no end")
	}
	for _, p := range o.Phases {
		fmt.Fprintf(&b, "; %+.3f s %s (%d, %.3f s)", p.Offset.Seconds(), p.Kind, p.Attempts, p.Long.Seconds())
	}
	return b.String()
}

// MeasureOutage finds the longest gap between acknowledgements of one writer that ends after the fault. Acknowledgements count by when they arrived, so an
// attempt that hangs is part of the gap and not a hole in the measurement. The zero Outage means that the writer was never
// acknowledged before the fault: there is nothing to measure from.
func MeasureOutage(ops []Op, writer string, fault boottime.Instant) Outage {
	mine := byEnd(ops, writer)
	var longest Outage
	var last boottime.Instant // the latest acknowledgement so far
	consider := func(from, to, end boottime.Instant) {
		if d := end.Sub(from); d > longest.Duration {
			longest = Outage{From: from, To: to, Duration: d}
		}
	}
	for _, op := range mine {
		if op.Outcome != Acked {
			continue
		}
		if !last.IsZero() && op.End.After(fault) {
			consider(last, op.End, op.End)
		}
		last = op.End
	}
	if last.IsZero() {
		return Outage{}
	}
	if end := mine[len(mine)-1]; end.Outcome != Acked && end.End.After(fault) {
		consider(last, 0, end.End)
	}
	longest.Phases = phases(mine, longest)
	return longest
}

// byEnd is the finished attempts of one writer in the order in which they ended.
func byEnd(ops []Op, writer string) []Op {
	var mine []Op
	for _, op := range ops {
		if op.Writer == writer && !op.End.IsZero() {
			mine = append(mine, op)
		}
	}
	sort.SliceStable(mine, func(i, j int) bool { return mine[i].End.Before(mine[j].End) })
	return mine
}

func phases(ops []Op, o Outage) []Phase {
	var list []Phase
	var started boottime.Instant
	for _, op := range ops {
		if !op.End.After(o.From) || o.Over() && op.End.After(o.To) {
			continue
		}
		kind := op.Error
		if op.Outcome == Acked {
			kind = "in flight"
		}
		if n := len(list); n == 0 || list[n-1].Kind != kind {
			list = append(list, Phase{Kind: kind, Offset: op.End.Sub(o.From)})
			started = op.Start
		}
		p := &list[len(list)-1]
		p.Attempts++
		p.Long = op.End.Sub(started)
	}
	return list
}
