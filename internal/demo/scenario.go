package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"quorate/internal/boottime"
)

const (
	stepPatience = 2 * time.Minute // for each step, on whatever machine this is
	steadyFor    = 2 * time.Second
	settled      = 100 // commits after which a step counts as over
)

// step is a measured part of the scenario.
type step struct {
	what string
	took time.Duration
}

// scenario shows without a person what the keys show: a hand-over, the loss of a host, and its return. Then it goes on until its time is over.
func (d *Demo) scenario(ctx context.Context) ([]step, error) {
	var done []step
	sleep(ctx, steadyFor)
	if err := d.succession(ctx, d.switchover); err != nil {
		return done, fmt.Errorf("switchover: %w", err)
	}
	if err := d.succession(ctx, d.killPrimary); err != nil {
		return done, fmt.Errorf("loss of the primary's host: %w", err)
	}
	begun := boottime.Now()
	d.begin("the lost host returns")
	if err := d.restore(ctx); err != nil {
		return done, err
	}
	if err := d.await(ctx, "the lost host to follow the new primary", d.watch.complete); err != nil {
		return done, err
	}
	done = append(done, step{"return of the lost host, until it streams from the new primary", boottime.Now().Sub(begun)})
	d.events.say("", "all three hosts are there again")
	sleep(ctx, d.opt.For-boottime.Now().Sub(d.begun))
	return done, ctx.Err()
}

// succession does something after which another host leads, and waits until it does and clients have written for a while.
func (d *Demo) succession(ctx context.Context, do func(context.Context) error) error {
	before := d.watch.primary()
	if err := do(ctx); err != nil {
		return err
	}
	err := d.await(ctx, "another host to lead", func() bool {
		now := d.watch.primary()
		return now != nil && now != before && d.meter.commits() >= settled
	})
	if err != nil {
		return err
	}
	return d.await(ctx, "the others to follow", d.following)
}

// following says whether every host to which nothing was done leads or streams.
func (d *Demo) following() bool {
	for _, h := range d.hosts {
		m := d.watch.of(h)
		if h.healthy() && m.state != "streaming" && d.watch.primary() != h {
			return false
		}
	}
	return true
}

// await waits until something is so.
func (d *Demo) await(ctx context.Context, what string, so func() bool) error {
	deadline := boottime.Now().Add(stepPatience)
	for !so() {
		if boottime.Now().After(deadline) {
			return fmt.Errorf("waited %s in vain for %s (--keep leaves the hosts' folders)%s", stepPatience, what, d.tails())
		}
		sleep(ctx, 20*time.Millisecond)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// tails are the ends of all hosts' logs, for an error: the folders are gone when somebody reads it.
func (d *Demo) tails() string {
	var b strings.Builder
	for _, h := range d.hosts {
		fmt.Fprintf(&b, "\n%s:\n%s", h.name, tail(h.log(), 12))
	}
	return b.String()
}
