package demo

import (
	"context"
	"errors"
	"fmt"
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
	p("")
	p("Measured by a client that commits a row every %d ms through a router (synchronous_mode: on):", pace.Milliseconds())
	p("  %-58s %9s", "from nothing to three hosts that replicate", seconds(d.built))
	for _, s := range r.Spans[1:] {
		if s.Commits > 0 {
			p("  %-58s %9s", "longest wait for a commit after: "+s.After, seconds(s.Longest))
		}
	}
	for _, s := range steps {
		p("  %-58s %9s", s.what, seconds(s.took))
	}
	return d.audit(r.Acked, p)
}

// audit looks for every acknowledged row.
func (d *Demo) audit(acked int, p func(string, ...any)) error {
	p("  %-58s %9d", "acknowledged commits", acked)
	ctx, cancel := context.WithTimeout(context.Background(), auditPatience)
	defer cancel()
	lost, err := d.writer.lost(ctx, d.meter.ids())
	switch {
	case err != nil && d.opt.For == 0:
		p("  whether one was lost is not known: %v", err)
		return nil
	case err != nil:
		return err
	}
	p("  %-58s %9d", "of these not found in the end", lost)
	if lost > 0 {
		return fmt.Errorf("%w: %d of %d", ErrLost, lost, acked)
	}
	return nil
}

// seconds is a duration for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
