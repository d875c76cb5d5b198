//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"quorate/internal/boottime"
	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
	"quorate/test/rig"
)

// awaitQuorum waits until all replicas are voters.
func (c *cluster) awaitQuorum(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, c.AwaitHealthy(ctx))
	eventually(t, ctx, "two voters", func() error {
		n := 0
		for _, h := range c.hosts {
			if code, _, err := c.Call(ctx, h, http.MethodGet, "/quorum", nil); err == nil && code == http.StatusOK {
				n++
			}
		}
		if n < len(c.hosts)-1 {
			return fmt.Errorf("%d of %d", n, len(c.hosts)-1)
		}
		return nil
	})
}

// started says when each host's PostgreSQL was started.
func (c *cluster) started(t *testing.T, ctx context.Context) []string {
	t.Helper()
	out := make([]string, len(c.hosts))
	for i, h := range c.hosts {
		eventually(t, ctx, h.Name+"'s start", func() (err error) {
			out[i], err = query(ctx, c.client, c.Direct(h), "SELECT pg_postmaster_start_time()")
			return err
		})
	}
	return out
}

// TestQuorumOfTwo loses primaries while commits wait for two of two voters: nothing that was acknowledged is lost. Then all of it is restarted, one after
// the other, under the same writers.
func TestQuorumOfTwo(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(t)
	c := &cluster{lab: l, hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app")}
	stack, err := quoratestack.New(quoratestack.Options{
		Binary: path, Hosts: c.hosts, Router: c.client, Mode: "quorum", DCS: map[string]string{"synchronous_node_count": "2"},
	})
	must(t, err)
	c.Stack = stack
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)
	for _, f := range rig.Faults() {
		if f.Name != "postmaster killed" && f.Name != "host lost" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			c.awaitQuorum(t, patience(t))
			c.suffer(t, f, noLoss)
		})
	}
	t.Run("rolling restart", func(t *testing.T) {
		ctx := patience(t)
		c.awaitQuorum(t, ctx)
		before := c.started(t, ctx)
		r := startRig(t, ctx, c, c.client, c.hosts)
		out, err := c.Run(ctx, c.hosts[0], "restart", "--rolling", "--force")
		t.Log(out)
		must(t, err, r.AwaitCommits(ctx, boottime.Now()))
		v := judge(t, ctx, r)
		must(t, v.IDs.Err(0))
		for i, now := range c.started(t, ctx) {
			if now == before[i] {
				t.Errorf("%s was not restarted: it runs since %s", c.hosts[i].Name, now)
			}
		}
		if n := strings.Count(out, "is back"); n != len(c.hosts) || len(v.Terms) != 2 {
			t.Errorf("%d members came back, over %d terms: all hosts' and one handover are expected", n, len(v.Terms))
		}
	})
}
