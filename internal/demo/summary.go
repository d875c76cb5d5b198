package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"quorate/internal/boottime"
)

// ErrLost is returned when an acknowledged row is not there in the end.
var ErrLost = errors.New("acknowledged commits were lost")

// auditPatience bounds the look for the acknowledged rows.
const auditPatience = 10 * time.Second

// summary prints what was measured.
func (d *Demo) summary(steps []step) error {
	r := d.meter.read(boottime.Now())
	p := func(format string, args ...any) { fmt.Fprintf(d.opt.Out, format+"\n", args...) }
	line := func(what string, t time.Duration) { p("  %-64s %8.2f s", fit(what, 64), t.Seconds()) }
	p("\nA client committed a row every %d ms through a router (synchronous_mode: on).\nIts longest time without a commit after:", pace.Milliseconds())
	for _, s := range r.Spans[1:] {
		if s.Commits > 0 {
			line(s.After, s.Longest)
		}
	}
	p("Duration:")
	line("from nothing to three hosts that replicate", d.built)
	for _, s := range steps {
		line(s.what, s.took)
	}
	if load, cpus := loadAverage(), runtime.NumCPU(); load > float64(cpus) {
		p("This machine was busy (load %.0f on %d processors), which makes all of it longer.", load, cpus)
	}
	return d.audit(r.Acked, p)
}

// loadAverage is that of the last minute; 0 if the system does not tell.
func loadAverage() (load float64) {
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &load)
	}
	return load
}

// audit looks for every acknowledged row.
func (d *Demo) audit(acked int, p func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(context.Background(), auditPatience)
	defer cancel()
	lost, err := d.writer.lost(ctx, d.meter.ids())
	switch {
	case err != nil && d.opt.For == 0:
		p("Commits: %d acknowledged; whether one of them was lost is not known: %v", acked, err)
		return nil
	case err != nil:
		return err
	}
	p("Commits: %d acknowledged, %d of them not found in the end", acked, lost)
	if lost > 0 {
		return fmt.Errorf("%w: %d of %d", ErrLost, lost, acked)
	}
	return nil
}
