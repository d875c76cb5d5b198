//go:build bench

package main

import (
	"context"
	"fmt"
	"time"

	"quorate/internal/boottime"
	"quorate/test/check"
	"quorate/test/lab"
	"quorate/test/rig"
)

// measurement is one run's outcome.
type measurement struct {
	outage     check.Outage
	rejoin     time.Duration // from the mend until what was struck follows again
	struck     time.Time     // wall clock, to find the place in the logs
	terms      int           // reigns beyond the first, restarts in place included
	lost       int           // acknowledged commits that are gone
	violations int           // proofs of two primaries, as seen through the router
}

// measure makes one run. With together the store's leader is on the primary's host, else on another.
func (c *cluster) measure(ctx context.Context, s scenario, together bool) (m measurement, err error) {
	var scene rig.Scene
	var r *rig.Rig
	err = c.within(ctx, "before the fault", func(ctx context.Context) (err error) {
		if scene, err = c.prepare(ctx, s, together); err != nil {
			return err
		}
		r, err = rig.Start(ctx, rig.Options{Cluster: c, Client: c.client, Hosts: c.hosts})
		return err
	})
	if err != nil {
		return m, err
	}
	defer r.Stop()
	var fault boottime.Instant
	err = c.within(ctx, "after the fault", func(ctx context.Context) (err error) {
		// A second of commits first: the sessions' own start is no part of the outage.
		if err := r.AwaitAcks(ctx, 100); err != nil {
			return err
		}
		fault, m.struck = boottime.Now(), time.Now()
		if err := s.fault.Strike(ctx, scene); err != nil {
			return fmt.Errorf("strike: %w", err)
		}
		return c.outlast(ctx, s, r)
	})
	if err != nil {
		return m, err
	}
	err = c.within(ctx, "after the mend", func(ctx context.Context) (err error) {
		m.rejoin, err = c.mend(ctx, s, scene)
		return err
	})
	m.outage = r.Outage(fault) // over the whole run: an interruption by what comes back counts
	if err != nil {
		return m, fmt.Errorf("%w; until then %s", err, m.outage)
	}
	return m, m.judge(ctx, r)
}

// within gives a part of a run the product's patience, and its name to what goes wrong.
func (c *cluster) within(ctx context.Context, part string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}

// prepare makes the cluster whole and puts everything where the run wants it.
func (c *cluster) prepare(ctx context.Context, s scenario, together bool) (rig.Scene, error) {
	scene, err := c.whole(ctx)
	if err != nil {
		return scene, err
	}
	if s.fault.Prepare != nil {
		if err := s.fault.Prepare(ctx, scene); err != nil {
			return scene, err
		}
		if scene, err = c.whole(ctx); err != nil {
			return scene, err
		}
	}
	return scene, c.place(ctx, scene.Primary, together)
}

// outlast waits until the fault's consequences are over, as clients see it.
func (c *cluster) outlast(ctx context.Context, s scenario, r *rig.Rig) error {
	if s.fault.Terms == rig.Failover { // which may be long after the strike: PostgreSQL outlives its agent for as long as the lease holds
		if err := r.AwaitTerms(ctx, 2); err != nil {
			return err
		}
	}
	if s.watch {
		if err := pause(ctx, c.watch); err != nil {
			return err
		}
	}
	return r.AwaitCommits(ctx, boottime.Now())
}

// mend repairs what the fault broke, waits until the cluster is whole, and says how long the old primary took to follow.
func (c *cluster) mend(ctx context.Context, s scenario, scene rig.Scene) (rejoin time.Duration, err error) {
	begin := boottime.Now()
	if s.fault.Mend != nil {
		if err := s.fault.Mend(ctx, scene); err != nil {
			return 0, err
		}
	}
	if s.rejoin > 0 {
		if err := c.follows(ctx, scene.Primary); err != nil {
			return 0, err
		}
		rejoin = boottime.Now().Sub(begin)
	}
	return rejoin, c.AwaitHealthy(ctx)
}

func (c *cluster) follows(ctx context.Context, h *lab.Host) error {
	return poll(ctx, h.Name+" to follow", func() bool { return c.Following(ctx, h) })
}

// judge stops the clients and looks for what must not be.
func (m *measurement) judge(ctx context.Context, r *rig.Rig) error {
	v, err := r.Judge(ctx)
	m.terms, m.lost, m.violations = max(0, len(v.Terms)-1), len(v.IDs.Lost), len(v.Violations)
	return err
}

func (m measurement) String() string {
	text := fmt.Sprintf("struck at %s; %s", m.struck.UTC().Format("15:04:05.000"), m.outage)
	if m.rejoin > 0 {
		text += fmt.Sprintf("; followed again after %.2f s", m.rejoin.Seconds())
	}
	return text + fmt.Sprintf("; %d more terms, %d lost, %d violations", m.terms, m.lost, m.violations)
}
