//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
	"quorate/test/check"
	"quorate/test/lab"
	"quorate/test/lab/patronistack"
	"quorate/test/rig"
)

// The tests of Patroni's stack prove the method on a cluster that is not ours: the harness must find a host loss under synchronous replication clean,
// and must find the two writable primaries that Patroni without a watchdog has when its agent is killed. A harness that cannot see the second could not
// vouch for us.

func TestPatroniHostLost(t *testing.T) {
	s := newPatroni(t, true)
	must(t, s.AwaitSync(s.ctx))
	r := startRig(t, s.ctx, s, s.client, s.hosts)
	primary := s.Primary(s.ctx)
	fault := boottime.Now()
	must(t, primary.PowerOff(), r.AwaitTerms(s.ctx, 2), r.AwaitCommits(s.ctx, boottime.Now()))
	t.Logf("host lost: %s", r.Outage(fault))
	must(t, primary.PowerOn(), s.StartHost(primary), s.AwaitHealthy(s.ctx))
	v := judge(t, s.ctx, r)
	must(t, v.Err(0))
}

func TestPatroniAgentKilled(t *testing.T) {
	s := newPatroni(t, false)
	r := startRig(t, s.ctx, s, s.client, s.hosts)
	primary := s.Primary(s.ctx)
	must(t, primary.Signal(unix.SIGKILL, s.Agent()), r.AwaitTerms(s.ctx, 2), r.AwaitAnswers(s.ctx, boottime.Now()))
	must(t, s.StartAgent(primary), s.AwaitHealthy(s.ctx))
	v := judge(t, s.ctx, r)
	atOnce := false
	for _, violation := range v.Violations {
		t.Logf("as expected: %v", violation)
		atOnce = atOnce || violation.Rule == check.RuleAtOnce
	}
	if !atOnce {
		t.Error("two primaries without a watchdog were not noticed")
	}
	if len(v.IDs.Lost) == 0 {
		t.Error("what the old primary acknowledged alone was not missed")
	}
}

// patroni is the stack on a lab of its own.
type patroni struct {
	*patronistack.Stack
	ctx    context.Context
	hosts  []*lab.Host
	client *lab.Host
}

func newPatroni(t *testing.T, synchronous bool) patroni {
	t.Helper()
	if err := patronistack.Available(); err != nil {
		t.Skip(err)
	}
	l := lab.ForTest(t)
	p := patroni{hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app")}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	p.ctx = ctx
	stack, err := patronistack.Start(ctx, patronistack.Options{
		Hosts: p.hosts, Router: p.client, Synchronous: synchronous,
		TTL: 20 * time.Second, LoopWait: time.Second, RetryTimeout: 3 * time.Second,
	})
	must(t, err)
	p.Stack = stack
	return p
}

func startRig(t *testing.T, ctx context.Context, c rig.Cluster, client *lab.Host, hosts []*lab.Host) *rig.Rig {
	t.Helper()
	r, err := rig.Start(ctx, rig.Options{Cluster: c, Client: client, Hosts: hosts, Inside: true})
	must(t, err)
	t.Cleanup(r.Stop)
	return r
}

func judge(t *testing.T, ctx context.Context, r *rig.Rig) rig.Verdict {
	t.Helper()
	v, err := r.Judge(ctx)
	must(t, err)
	t.Log(v.IDs)
	for _, term := range v.Terms {
		t.Logf("%s: %d commits", term.Server, term.Acks)
	}
	return v
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
