package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"

	"quorate/internal/boottime"
	"quorate/test/rig"
)

// runTimeout bounds one run, the way back to a healthy cluster included.
const runTimeout = 5 * time.Minute

// failover measures how long no commit goes through after each fault.
func failover(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("qbench failover", flag.ContinueOnError)
	flags.SetOutput(progress)
	var o benchOptions
	flags.StringVar(&o.stack, "stack", "quorate", "quorate, or patroni for the stack that it replaces")
	flags.BoolVar(&o.synchronous, "sync", false, "synchronous_mode: on")
	flags.StringVar(&o.logs, "logs", "", "folder for the logs of all processes (default: removed at the end)")
	runs := flags.Int("runs", 10, "runs of each fault")
	pattern := flags.String("faults", ".", "regular expression: which faults")
	if err := flags.Parse(args); err != nil {
		return err
	}
	which, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	var rows []row
	for _, f := range b.faults() {
		if !which.MatchString(f.Name) {
			continue
		}
		r := row{name: f.Name}
		for n := range *runs {
			m, err := b.measure(ctx, f, n%2 == 0)
			if err != nil {
				return fmt.Errorf("%s, run %d: %w", f.Name, n+1, err)
			}
			fmt.Fprintf(progress, "%s, run %d: %s; lost %d; whole again %.1f s after the mend\n", f.Name, n+1, m.outage, m.lost, m.rejoin.Seconds())
			r.add(m)
		}
		rows = append(rows, r)
	}
	return writeTable(out, o, *runs, rows)
}

// faults are those of the cluster's kind.
func (b *bench) faults() []rig.Fault {
	list := append(rig.Faults(), rig.DiskHangs(), rig.PostmasterKilledAfter(b.client, 1024))
	if b.ours {
		list = append(list, rig.FenceFaults()...)
		list = append(list, rig.StoreFaults()...)
	}
	return list
}

// measure makes one run. With together the store's leader is on the primary's host, else on another, where the cluster can say where it is.
func (b *bench) measure(ctx context.Context, f rig.Fault, together bool) (m measurement, err error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	scene, err := b.prepare(ctx, f, together)
	if err != nil {
		return m, err
	}
	r, err := rig.Start(ctx, rig.Options{Cluster: b, Client: b.client, Hosts: b.hosts})
	if err != nil {
		return m, err
	}
	defer r.Stop()
	// A second of commits before the fault: the routers' and the sessions' own start is no part of the outage.
	if err := r.AwaitAcks(ctx, 100); err != nil {
		return m, err
	}
	fault := boottime.Now()
	if err := f.Strike(ctx, scene); err != nil {
		return m, err
	}
	if f.Terms == rig.Failover { // which may be long after the strike: PostgreSQL outlives its agent for as long as the lease holds
		if err := r.AwaitTerms(ctx, 2); err != nil {
			return m, err
		}
	}
	if err := r.AwaitCommits(ctx, boottime.Now()); err != nil {
		return m, err
	}
	return b.finish(ctx, f, scene, r, fault)
}

// prepare makes the cluster whole and puts everything where the run wants it.
func (b *bench) prepare(ctx context.Context, f rig.Fault, together bool) (scene rig.Scene, err error) {
	place := rig.Apart
	if together {
		place = rig.Together
	}
	for _, step := range []func(context.Context, rig.Scene) error{place, f.Prepare} {
		if scene, err = b.whole(ctx); err != nil || step == nil {
			return scene, err
		}
		if err := step(ctx, scene); err != nil {
			return scene, err
		}
	}
	return b.whole(ctx)
}

// whole waits for a healthy cluster, in synchronous mode one with a candidate, and looks at it.
func (b *bench) whole(ctx context.Context) (rig.Scene, error) {
	if err := b.AwaitHealthy(ctx); err != nil {
		return rig.Scene{}, err
	}
	for b.synchronous && b.SyncStandby(ctx) == nil {
		select {
		case <-ctx.Done():
			return rig.Scene{}, fmt.Errorf("waiting for a synchronous standby: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return rig.Look(ctx, b.Breakable, b.hosts)
}

// finish mends what the fault broke and collects the figures. The outage is measured over the whole run: a second one, when the old primary comes
// back, would count.
func (b *bench) finish(ctx context.Context, f rig.Fault, scene rig.Scene, r *rig.Rig, fault boottime.Instant) (m measurement, err error) {
	mend := boottime.Now()
	if f.Mend != nil {
		if err := f.Mend(ctx, scene); err != nil {
			return m, err
		}
	}
	if err := b.AwaitHealthy(ctx); err != nil {
		return m, err
	}
	m.rejoin = boottime.Now().Sub(mend)
	m.outage = r.Outage(fault)
	v, err := r.Judge(ctx)
	m.lost, m.violations = len(v.IDs.Lost), len(v.Violations)
	return m, err
}
