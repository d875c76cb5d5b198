//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quorate/test/lab"
	"quorate/test/rig"
)

// cluster is one product on a lab of its own.
type cluster struct {
	rig.Breakable
	product
	kind
	lab    *lab.Lab
	hosts  []*lab.Host
	client *lab.Host // with the router, and nothing else but the clients
}

// newCluster starts one and returns when it is whole. Its logs go below the given folder, if any.
func newCluster(ctx context.Context, p product, k kind, logs string) (*cluster, error) {
	l, err := lab.New(lab.Options{Logs: logs})
	if err != nil {
		return nil, err
	}
	c := &cluster{product: p, kind: k, lab: l}
	if err := c.boot(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.name, err), l.Close())
	}
	return c, nil
}

func (c *cluster) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	for _, name := range []string{"pg1", "pg2", "pg3", "app"} {
		h, err := c.lab.AddHost(name)
		if err != nil {
			return err
		}
		c.hosts = append(c.hosts, h)
	}
	c.hosts, c.client = c.hosts[:3], c.hosts[3]
	var err error
	if c.Breakable, err = c.start(ctx, c.kind, c.hosts, c.client); err != nil {
		return err
	}
	_, err = c.whole(ctx)
	return err
}

// whole waits for a healthy cluster, in synchronous mode one with a candidate, and looks at it.
func (c *cluster) whole(ctx context.Context) (rig.Scene, error) {
	if err := c.AwaitHealthy(ctx); err != nil {
		return rig.Scene{}, err
	}
	if err := poll(ctx, "a synchronous standby", func() bool { return !c.synchronous || c.SyncStandby(ctx) != nil }); err != nil {
		return rig.Scene{}, err
	}
	if err := poll(ctx, "the router to know the primary alone", func() bool { return c.routed(ctx) }); err != nil {
		return rig.Scene{}, err
	}
	return rig.Look(ctx, c.Breakable, c.hosts)
}

// routed says whether every one of several sessions in a row goes to a primary. A router that polls takes the old primary and the new one for primaries
// at once for some seconds after a change, and gives them sessions by turns.
func (c *cluster) routed(ctx context.Context) bool {
	for range 2 * len(c.hosts) {
		if answer, err := c.ask(ctx, `SELECT pg_is_in_recovery()`); err != nil || answer != "f" {
			return false
		}
	}
	return true
}

// poll asks until the answer is yes or ctx ends.
func poll(ctx context.Context, what string, cond func() bool) error {
	for !cond() {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
