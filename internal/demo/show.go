package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"quorate/internal/boottime"
)

// upPatience is how long the three hosts may take to become a cluster: initdb and two copies of it, on whatever machine this is.
const upPatience = 2 * time.Minute

// show runs the view, and what happens by itself, until the end.
func (d *Demo) show(ctx context.Context) (err error) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	leave, err := d.open(ctx, quit)
	if err != nil {
		return err
	}
	steps, err := d.run(ctx)
	leave()
	if errors.Is(err, context.Canceled) {
		err = nil // somebody ended it
	}
	if d.built == 0 {
		return err
	}
	return errors.Join(err, d.summary(steps))
}

// open shows the screen, or lines if there is no terminal.
func (d *Demo) open(ctx context.Context, quit func()) (leave func(), err error) {
	if out, ok := d.opt.Out.(*os.File); ok && !d.opt.Plain && isTerminal(out) && isTerminal(d.opt.In) {
		return d.openScreen(ctx, out, quit)
	}
	d.openLines()
	return func() { d.events.tell(nil) }, nil
}

// openLines prints events as they come.
func (d *Demo) openLines() {
	fmt.Fprintln(d.opt.Out, d.title())
	d.events.tell(func(e event) { fmt.Fprintln(d.opt.Out, e) })
}

func (d *Demo) title() string {
	return "Quorate demo: three hosts on this machine, in " + d.folder.path
}

// run waits for the cluster, then for the end: of the scenario, or by somebody's word.
func (d *Demo) run(ctx context.Context) ([]step, error) {
	if err := d.awaitUp(ctx); err != nil {
		return nil, err
	}
	if d.opt.For > 0 {
		return d.scenario(ctx)
	}
	<-ctx.Done()
	return nil, nil
}

// awaitUp waits until the three hosts are a cluster and the first row is committed.
func (d *Demo) awaitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	for !d.watch.complete() || d.meter.commits() == 0 {
		for _, h := range d.hosts {
			if h.condition() == ended {
				return fmt.Errorf("%w: %s has ended by itself; the end of its log:\n%s", ErrNotUp, h.name, tail(h.log(), 8))
			}
		}
		sleep(ctx, 20*time.Millisecond)
		switch err := ctx.Err(); {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("%w within %s; the end of the log of %s:\n%s", ErrNotUp, upPatience, d.hosts[0].name, tail(d.hosts[0].log(), 8))
		case err != nil:
			return err
		}
	}
	d.built = boottime.Now().Sub(d.begun)
	d.begin("three hosts are one cluster, and nothing happens")
	return nil
}

// tail is the end of a file.
func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
