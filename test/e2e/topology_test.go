//go:build e2e

package e2e

import (
	"testing"

	"quorate/internal/boottime"
	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// TestTwoDataHostsAndAStoreHost loses the primary of the smallest cluster that fails over: the third host has no PostgreSQL.
func TestTwoDataHostsAndAStoreHost(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(t)
	data, witness, client := []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2")}, l.Host(t, "witness"), l.Host(t, "app")
	ctx := patience(t)
	s, err := quoratestack.Start(ctx, quoratestack.Options{
		Binary: path, Hosts: data, StoreOnly: []*lab.Host{witness}, Router: client, Synchronous: true,
	})
	must(t, err, s.AwaitSync(ctx))
	r := startRig(t, ctx, s, client, data)
	primary := s.Primary(ctx)
	fault := boottime.Now()
	must(t, primary.PowerOff(), r.AwaitTerms(ctx, 2), r.AwaitCommits(ctx, boottime.Now()))
	must(t, primary.PowerOn(), s.StartHost(primary), s.AwaitHealthy(ctx), r.AwaitAnswers(ctx, boottime.Now()))
	v := judge(t, ctx, r)
	t.Log(r.Outage(fault))
	must(t, v.Err(0))
}

// TestGrowsFromOneHost begins with a host alone, and adds two under load.
func TestGrowsFromOneHost(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(t)
	hosts, client := []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, l.Host(t, "app")
	ctx := patience(t)
	s, err := quoratestack.New(quoratestack.Options{Binary: path, Hosts: hosts, Router: client, Expect: 1})
	must(t, err)
	for _, h := range hosts[1:] {
		must(t, s.ConfigureToJoin(h, "store, postgres, proxy"))
	}
	must(t, s.StartHost(client), s.StartHost(hosts[0]), s.AwaitMembers(ctx, hosts[:1]))
	r := startRig(t, ctx, s, client, hosts[:1])
	begin := boottime.Now()
	must(t, s.StartHost(hosts[1]), s.AwaitMembers(ctx, hosts[:2]))
	must(t, s.StartHost(hosts[2]), s.AwaitMembers(ctx, hosts))
	must(t, r.AwaitCommits(ctx, boottime.Now()))
	v := judge(t, ctx, r)
	t.Logf("while it grew: %s", r.Outage(begin))
	must(t, v.Err(0))
	if len(v.Terms) != 1 {
		t.Errorf("%d terms; a host that joins ends none", len(v.Terms))
	}
}
