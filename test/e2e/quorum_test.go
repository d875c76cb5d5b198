//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
	t.Run("game day", func(t *testing.T) {
		longRun(t)
		c.gameDay(t)
	})
}

// gameDay has the command strike the cluster, and reads its report: on one that is whole all drills pass, on one that is not nothing is done.
func (c *cluster) gameDay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c.awaitQuorum(t, ctx)
	drills := "switchover,restart-replica,crash,restart-primary,freeze"
	home := c.Primary(ctx)
	var out string
	eventually(t, ctx, "a cluster that it takes for whole", func() (err error) { // positions are shown once a loop
		if out, err = c.Run(ctx, c.hosts[0], "game-day", "--force", "--format", "json", "--planned", "20s", "--crash", "30s", "--drills", drills); err != nil &&
			!strings.Contains(err.Error(), "is not broken on purpose") {
			t.Fatal(out, err)
		}
		return err
	})
	t.Log(out)
	var report []struct {
		Drill         string
		Member        string
		Leader        string
		Passed        bool
		Commits, Lost int
		Outage        int64 `json:"outage_ms"`
	}
	must(t, json.Unmarshal([]byte(out), &report))
	for i, name := range strings.Split(drills, ",") {
		r := report[i]
		if r.Drill != name || !r.Passed || r.Lost != 0 || r.Commits == 0 || r.Outage == 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if name == "crash" && r.Member != c.hosts[0].Name {
			t.Errorf("%s was struck, not the host that the command ran on", r.Member)
		}
	}
	if c.Primary(ctx) != home {
		t.Errorf("the lead was not given back to %s", home.Name)
	}
	if got, err := query(ctx, c.client, c.Direct(home), "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'quorate_game_day%'"); err != nil || got != "0" {
		t.Errorf("%s tables were left behind (%v)", got, err)
	}
	var replica *lab.Host
	for _, h := range c.hosts {
		if h != home {
			replica = h
		}
	}
	must(t, replica.PowerOff())
	eventually(t, ctx, "a refusal while a host is away", func() error {
		out, err := c.Run(ctx, home, "game-day", "--force", "--patience", "5s")
		if err == nil || !strings.Contains(out+err.Error(), "is not whole") {
			return fmt.Errorf("%s (%w)", out, err)
		}
		return nil
	})
	must(t, replica.PowerOn(), c.StartHost(replica), c.AwaitHealthy(ctx))
}
