//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
	"quorate/test/rig"
)

// TestHavoc strikes a cluster with faults drawn by a seed, one or two at once, the second while the first is not mended yet, over and over under the same
// checks: nothing acknowledged is lost, no two terms take writes at once, and the cluster becomes whole without a person.
//
//	QUORATE_FAULTS=200 QUORATE_HAVOC=quorum:1 go test -tags e2e ./test/e2e -run TestHavoc -timeout 3h
//
// QUORATE_HAVOC is the synchronous mode (on, quorum, off) and the seed.
func TestHavoc(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("QUORATE_FAULTS"))
	if n == 0 {
		t.Skip("as many faults as QUORATE_FAULTS says, a quarter of a minute each")
	}
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	mode, text, _ := strings.Cut(os.Getenv("QUORATE_HAVOC"), ":")
	seed, _ := strconv.ParseUint(text, 10, 64)
	path := program(t)
	l := lab.ForTest(t)
	c := &cluster{lab: l, hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app"), synchronous: mode != "off"}
	o := quoratestack.Options{Binary: path, Hosts: c.hosts, Router: c.client}
	switch mode {
	case "quorum":
		o.Mode = mode
	case "on":
		o.Synchronous = true
	}
	stack, err := quoratestack.New(o)
	must(t, err)
	c.Stack = stack
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)
	h := havoc{c: c, quorum: mode == "quorum", r: rand.New(rand.NewPCG(seed, 1))}
	for i := 0; h.struck < n; i++ {
		h.round(t, i)
		if t.Failed() {
			t.Fatalf("round %d of %s", i, os.Getenv("QUORATE_HAVOC"))
		}
	}
	t.Logf("%d faults", h.struck)
}

type havoc struct {
	c      *cluster
	quorum bool
	r      *rand.Rand
	struck int // faults that were carried out
}

// stroke is a fault with the scene that it was carried out on: the mend is for what was struck, whoever leads by then.
type stroke struct {
	rig.Fault
	scene rig.Scene
}

func (h *havoc) round(t *testing.T, i int) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	must(t, h.c.AwaitHealthy(ctx))
	switch {
	case h.quorum:
		h.c.awaitQuorum(t, ctx)
	case h.c.synchronous:
		eventuallyE2E(t, ctx, "a synchronous standby", func() bool { return h.c.SyncStandby(ctx) != nil })
	}
	r := startRig(t, ctx, h.c, h.c.client, h.c.hosts)
	fault := boottime.Now()
	var done []stroke
	var names []string
	for range 1 + h.r.IntN(2) {
		s := h.draw(t, ctx)
		if s == nil {
			continue
		}
		names = append(names, s.Name+" ("+s.scene.Primary.Name+")")
		if err := s.Strike(ctx, s.scene); err != nil {
			t.Logf("round %d: %s: %v", i, s.Name, err) // what the first fault has stopped cannot be struck by the second
		} else {
			h.struck++
		}
		done = append(done, *s)
		h.pause(ctx)
	}
	for n := range done { // in the order of the strikes, or against it
		if i%2 == 1 {
			n = len(done) - 1 - n
		}
		if s := done[n]; s.Mend != nil {
			if err := s.Mend(ctx, s.scene); err != nil {
				t.Logf("round %d: mending %s: %v", i, s.Name, err)
			}
		}
		h.pause(ctx)
	}
	for _, host := range h.c.hosts { // an agent that two faults struck is started by whoever finds it dead
		if found, _ := host.Find(lab.Agent); len(found) == 0 {
			must(t, h.c.StartHost(host))
		}
	}
	must(t, h.c.AwaitHealthy(ctx), r.AwaitCommits(ctx, boottime.Now()), r.AwaitAnswers(ctx, boottime.Now()))
	v := judge(t, ctx, r)
	t.Logf("round %d: %s: %d terms, lost %d, %s", i, strings.Join(names, ", then "), len(v.Terms), len(v.IDs.Lost), r.Outage(fault))
	if h.c.synchronous {
		noLoss(t, v.IDs)
	}
	for _, violation := range v.Violations {
		t.Error(violation)
	}
}

// pause lasts from nothing to longer than a failover takes.
func (h *havoc) pause(ctx context.Context) {
	d := time.Duration(h.r.IntN(5)) * time.Duration(h.r.IntN(1500)) * time.Millisecond
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// draw picks a fault and looks where it strikes; nil when there is nobody to strike.
func (h *havoc) draw(t *testing.T, ctx context.Context) *stroke {
	all := append(append(rig.Faults(), rig.FenceFaults()...), rig.PartialFaults()...)
	all = append(all, rig.Fault{Name: "all killed", Strike: func(ctx context.Context, s rig.Scene) error {
		return rig.AllKilled(h.r.Perm(len(s.Hosts))).Strike(ctx, s)
	}})
	f := all[h.r.IntN(len(all))]
	short, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	scene, err := rig.Look(short, h.c, h.c.hosts)
	if err != nil {
		t.Log(fmt.Errorf("%s: %w", f.Name, err))
		return nil
	}
	return &stroke{f, scene}
}
