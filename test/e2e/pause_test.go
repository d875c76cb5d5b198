//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
	"quorate/test/lab"
)

// TestPause works on a paused cluster: nothing that runs is touched, nothing that ends is started or replaced, and at no time do two hosts take writes.
func TestPause(t *testing.T) {
	c := newCluster(t, t, true)
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)

	t.Run("all agents killed", func(t *testing.T) {
		ctx := patience(t)
		scene := c.ready(t, ctx)
		r := startRig(t, ctx, c, c.client, c.hosts)
		c.pause(t, ctx)
		for _, h := range c.hosts {
			must(t, h.Signal(unix.SIGKILL, lab.Agent))
		}
		stays(t, ctx, "the primary takes writes while no agent runs, past every lease", 5*time.Second, func() bool {
			return runSQL(ctx, c.Stack, scene.Primary, "SELECT pg_logical_emit_message(true, 'quorate', 'writes')") == nil
		})
		for _, h := range c.hosts {
			must(t, c.StartAgent(h))
		}
		must(t, c.AwaitHealthy(ctx), r.AwaitCommits(ctx, boottime.Now()))
		c.resume(t, ctx)
		must(t, c.AwaitHealthy(ctx), r.AwaitCommits(ctx, boottime.Now()), r.AwaitAnswers(ctx, boottime.Now()))
		v := judge(t, ctx, r)
		must(t, v.Err(0))
		if n := r.AckedSessions(scene.Primary); len(v.Terms) != 1 || n > 2 { // the routers end with their agents, PostgreSQL does not
			t.Errorf("%d terms, %d sessions: PostgreSQL was to go on", len(v.Terms), n)
		}
	})

	t.Run("postmaster killed", func(t *testing.T) {
		ctx := patience(t)
		scene := c.ready(t, ctx)
		r := startRig(t, ctx, c, c.client, c.hosts)
		must(t, r.AwaitAnswers(ctx, boottime.Now()))
		c.pause(t, ctx)
		must(t, scene.Primary.Signal(unix.SIGKILL, lab.Postmaster))
		eventuallyE2E(t, ctx, "nobody leads", func() bool { return c.Primary(ctx) == nil })
		stays(t, ctx, "nobody starts it, and nobody takes its place", 5*time.Second, func() bool {
			found, err := scene.Primary.Find(lab.Postmaster)
			return c.Primary(ctx) == nil && (err != nil || len(found) == 0)
		})
		c.resume(t, ctx)
		must(t, c.AwaitHealthy(ctx), r.AwaitCommits(ctx, boottime.Now()), r.AwaitAnswers(ctx, boottime.Now()))
		must(t, judge(t, ctx, r).Err(0))
	})
}

// pause returns when it holds on all hosts: on the primary's when its fence has no deadline any more.
func (c *cluster) pause(t *testing.T, ctx context.Context) {
	t.Helper()
	out, err := c.Run(ctx, c.hosts[0], "pause", "--wait")
	t.Log(out)
	must(t, err)
}

func (c *cluster) resume(t *testing.T, ctx context.Context) {
	t.Helper()
	out, err := c.Run(ctx, c.hosts[0], "resume", "--wait")
	t.Log(out)
	must(t, err)
}

// stays demands that something is so all the time: what must not happen has no event to wait for.
func stays(t *testing.T, ctx context.Context, what string, long time.Duration, so func() bool) {
	t.Helper()
	for end := time.Now().Add(long); time.Now().Before(end) && ctx.Err() == nil; {
		if !so() {
			t.Fatalf("not so: %s", what)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
