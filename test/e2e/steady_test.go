//go:build e2e

package e2e

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// spell is how long a part of these tests lasts: QUORATE_SPELL, for instance 10m.
func spell(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("QUORATE_SPELL")
	if text == "" {
		longRun(t)
		text = "40s"
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// TestNoFailoverUnderLoad lets pgbench saturate the machine, with more clients than it has cores, at default settings: that is no reason to end a term.
func TestNoFailoverUnderLoad(t *testing.T) {
	long := spell(t)
	c := newCluster(t, t, false)
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)
	c.keepsItsTerm(t, long, func(ctx context.Context) {
		seconds := strconv.Itoa(int(long.Seconds()))
		target := strings.Replace(c.Target(), "database=", "dbname=", 1) + " gssencmode=disable" // pgx has another word than libpq
		_, err := c.client.Run(ctx, lab.Spec{Args: []string{"pgbench", "-i", "-q", "-s", "10", target}})
		must(t, err)
		out, err := c.client.Run(ctx, lab.Spec{Args: []string{"pgbench", "-n", "-c", "32", "-j", "2", "-T", seconds, target}})
		must(t, err)
		t.Log(out)
	})
}

// TestNoFailoverWhileStoreDisksHang stops the store's disk for three seconds in every ten, on the leader of the store and then on each follower: that is less
// than the store's patience and no reason to end a term.
func TestNoFailoverWhileStoreDisksHang(t *testing.T) {
	long := spell(t)
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	l := lab.ForTest(t)
	c := &cluster{lab: l, hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app")}
	for _, h := range c.hosts {
		_, err := h.AddDisk("root", "store", 256)
		must(t, err)
	}
	stack, err := quoratestack.New(quoratestack.Options{Binary: program(t), Hosts: c.hosts, Router: c.client})
	must(t, err)
	c.Stack = stack
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)
	leader := c.RaftLeader(patience(t))
	order := append([]*lab.Host{leader}, slices.DeleteFunc(slices.Clone(c.hosts), func(h *lab.Host) bool { return h == leader })...)
	for _, h := range order {
		name := "follower " + h.Name
		if h == leader {
			name = "leader " + h.Name
		}
		t.Run(name, func(t *testing.T) {
			c.keepsItsTerm(t, long, func(ctx context.Context) {
				again := time.NewTicker(10 * time.Second)
				defer again.Stop()
				for end := time.Now().Add(long); time.Now().Before(end); {
					must(t, h.Disk("store").Hang(3*time.Second))
					select {
					case <-again.C:
					case <-ctx.Done():
						must(t, ctx.Err())
					}
				}
			})
		})
	}
}

// keepsItsTerm does something under writers on every host, and demands that one term has seen it all.
func (c *cluster) keepsItsTerm(t *testing.T, long time.Duration, do func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*long+3*time.Minute)
	defer cancel()
	scene := c.ready(t, ctx)
	r := startRig(t, ctx, c, c.client, c.hosts)
	must(t, r.AwaitAnswers(ctx, boottime.Now()))
	from := boottime.Now()
	do(ctx)
	must(t, r.AwaitAnswers(ctx, boottime.Now()), c.AwaitHealthy(ctx))
	v := judge(t, ctx, r)
	t.Logf("%s", r.Outage(from))
	noLoss(t, v.IDs)
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	if len(v.Terms) != 1 {
		t.Errorf("%d terms", len(v.Terms))
	}
	if n := r.AckedSessions(scene.Primary); n != 1 {
		t.Errorf("a client needed %d sessions", n)
	}
}
