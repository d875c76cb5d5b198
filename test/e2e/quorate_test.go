//go:build e2e

package e2e

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/test/check"
	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
	"quorate/test/rig"
)

// binary builds the program once for all tests of this run; QUORATE_BINARY names one that is there, where there is no toolchain.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("QUORATE_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "quorate-e2e")
	if err != nil {
		return "", err
	}
	builtIn = dir
	return quoratestack.Build(context.Background(), dir)
})

var builtIn string

// long is the run before a release; the other one is for every commit.
var long = os.Getenv("QUORATE_LONG") != ""

// longRun keeps a test for the long run.
func longRun(t *testing.T) {
	t.Helper()
	if !long {
		t.Skip("a minute or two: `scripts/test long` runs it")
	}
}

func program(t *testing.T) string {
	t.Helper()
	path, err := binary()
	must(t, err)
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// cluster is Quorate on a lab of its own: three hosts with all roles, and one where applications and a router live.
type cluster struct {
	*quoratestack.Stack
	lab    *lab.Lab
	hosts  []*lab.Host
	client *lab.Host

	synchronous bool
}

// newCluster makes a configured cluster on which nothing runs yet.
// The lab ends with its owner, which is the test or one above it.
func newCluster(owner, t *testing.T, synchronous bool) *cluster {
	t.Helper()
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(owner)
	c := &cluster{lab: l, hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app"), synchronous: synchronous}
	stack, err := quoratestack.New(quoratestack.Options{Binary: path, Hosts: c.hosts, Router: c.client, Synchronous: synchronous})
	must(t, err)
	c.Stack = stack
	return c
}

// start starts the hosts in the given order and waits for a healthy cluster.
func (c *cluster) start(t *testing.T, order ...*lab.Host) {
	t.Helper()
	begin := time.Now()
	for _, h := range order {
		must(t, c.StartHost(h))
	}
	must(t, c.AwaitHealthy(patience(t)))
	t.Logf("from nothing to a healthy cluster: %.1f s", time.Since(begin).Seconds())
}

// patience bounds a wait; a sound cluster never comes near it.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestFoundsOnceInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}} {
		c := newCluster(t, t, true)
		must(t, c.StartHost(c.client))
		c.start(t, c.hosts[order[0]], c.hosts[order[1]], c.hosts[order[2]])
	}
}

func TestFaultsSynchronous(t *testing.T) {
	faults := append(rig.Faults(), rig.FenceFaults()...)
	faults = append(faults, rig.StoreFaults()...)
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		faults = append(faults, rig.AllKilled(order))
	}
	sufferAll(t, true, faults, func(*testing.T, *cluster) lossRule { return noLoss })
}

// In the short run those faults strike that can lose what was acknowledged; the others differ from TestFaultsSynchronous in nothing.
func TestFaultsAsynchronous(t *testing.T) {
	faults := append(rig.Faults(), rig.FenceFaults()...)
	if !long {
		faults = slices.DeleteFunc(faults, func(f rig.Fault) bool { return !f.Loses })
	}
	sufferAll(t, false, faults, reportedLoss)
}

// What is struck in part only, in both modes.
func TestPartialFaults(t *testing.T) {
	longRun(t)
	t.Run("synchronous", func(t *testing.T) {
		sufferAll(t, true, rig.PartialFaults(), func(*testing.T, *cluster) lossRule { return noLoss })
	})
	t.Run("asynchronous", func(t *testing.T) { sufferAll(t, false, rig.PartialFaults(), reportedLoss) })
}

// sufferAll strikes one cluster with one fault after the other: what a fault leaves behind is part of the next one's test. After a failure the others
// go on with a new cluster.
func sufferAll(owner *testing.T, synchronous bool, faults []rig.Fault, rule func(*testing.T, *cluster) lossRule) {
	var c *cluster
	for _, f := range faults {
		owner.Run(f.Name, func(t *testing.T) {
			if c == nil {
				c = newCluster(owner, t, synchronous)
				c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)
			}
			defer func() {
				if t.Failed() && c != nil {
					c.lab.End(t)
					c = nil
				}
			}()
			c.suffer(t, f, rule(t, c))
		})
	}
}

// A lossRule judges the commits that were acknowledged and are gone.
type lossRule func(*testing.T, check.IDs)

func noLoss(t *testing.T, ids check.IDs) { must(t, ids.Err(0)) }

// reportedLoss demands that the nodes have reported what is gone, neither less nor more: every lost acknowledgement, and besides those nothing but attempts
// that may have been committed and whose clients never knew.
func reportedLoss(t *testing.T, c *cluster) lossRule {
	before, err := c.LostTransactions(patience(t))
	must(t, err)
	return func(t *testing.T, ids check.IDs) {
		t.Helper()
		after, err := c.LostTransactions(patience(t))
		must(t, err, ids.Err(after-before))
		if most := len(ids.Lost) + ids.Unknown - len(ids.Recovered); after-before > most {
			t.Errorf("%d transactions reported lost, but clients miss only %d", after-before, most)
		}
	}
}

// ready waits until the cluster is whole and looks at it.
func (c *cluster) ready(t *testing.T, ctx context.Context) rig.Scene {
	t.Helper()
	must(t, c.AwaitHealthy(ctx))
	if c.synchronous {
		must(t, c.AwaitSync(ctx)) // without one, a lost primary rightly has no successor
	}
	scene, err := rig.Look(ctx, c, c.hosts)
	must(t, err)
	return scene
}

// suffer strikes the cluster under writers, waits until it works, mends it, waits until it is whole, and judges.
func (c *cluster) suffer(t *testing.T, f rig.Fault, loss lossRule) {
	ctx := patience(t)
	scene := c.ready(t, ctx)
	if f.Prepare != nil {
		must(t, f.Prepare(ctx, scene))
		scene = c.ready(t, ctx)
	}
	r := startRig(t, ctx, c, c.client, c.hosts)
	must(t, r.AwaitAnswers(ctx, boottime.Now()))
	fault := boottime.Now()
	must(t, f.Strike(ctx, scene), r.AwaitCommits(ctx, boottime.Now()))
	if f.Terms == rig.Failover {
		must(t, r.AwaitTerms(ctx, 2))
	}
	if !f.Silent {
		must(t, r.AwaitAnswers(ctx, boottime.Now())) // of a deposed primary too: a session that hangs there proves nothing
	}
	mended := boottime.Now()
	if f.Mend != nil {
		must(t, f.Mend(ctx, scene))
	}
	must(t, c.AwaitHealthy(ctx), r.AwaitAnswers(ctx, boottime.Now()))
	t.Logf("whole again %.1f s after the mend", boottime.Now().Sub(mended).Seconds())
	v := judge(t, ctx, r)
	t.Logf("%s", r.Outage(fault))
	loss(t, v.IDs)
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	if f.Terms != rig.NoFailover {
		return
	}
	if f.Excused != nil && f.Excused() {
		t.Log("the machine was too slow: whether the term went on is not judged")
		return
	}
	if len(v.Terms) != 1 {
		t.Errorf("%d terms where the fault is no reason to end the primary's", len(v.Terms))
	}
	if n := r.AckedSessions(scene.Primary); n != 1 {
		t.Errorf("a client needed %d sessions where the fault is no reason to end any", n)
	}
}
