//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	longRun(t)
	s := newPatroni(t, patronistack.Options{Synchronous: true})
	must(t, s.AwaitSync(s.ctx))
	r := startRig(t, s.ctx, s, s.client, s.hosts)
	primary := s.Primary(s.ctx)
	fault := boottime.Now()
	must(t, primary.PowerOff(), r.AwaitTerms(s.ctx, 2), r.AwaitCommits(s.ctx, boottime.Now()))
	t.Logf("host lost: %s", r.Outage(fault))
	must(t, primary.PowerOn(), s.StartHost(primary), s.AwaitHealthy(s.ctx))
	v := judge(t, s.ctx, r)
	must(t, v.Err(0))
	t.Run("router", s.routerOnKeys)
}

// routerOnKeys puts the router in HAProxy's place, with nothing but the keys that Patroni's agents have in etcd to go by.
func (p patroni) routerOnKeys(t *testing.T) {
	must(t, p.client.Signal(unix.SIGKILL, lab.Program("haproxy")))
	var etcd []string
	for _, h := range p.hosts {
		etcd = append(etcd, `"`+h.Addr(2379)+`"`)
	}
	path := filepath.Join(p.client.Dir(), "proxy.yml")
	must(t, os.WriteFile(path, []byte("scope: bench\nname: app\nroles: [proxy]\n"+p.section+": {hosts: ["+strings.Join(etcd, ", ")+"]}\n"+`proxy:
  stale_reads: 4s
  listeners:
  - {name: primary, listen: '*:5000', target: primary, hold_timeout: 10s}
  - {name: replica, listen: '*:5001', target: replica, hold_timeout: 1s}
`), 0o644))
	eventually(t, p.ctx, "HAProxy's ports become free", func() error {
		c, err := p.client.Dial(p.ctx, "tcp", p.client.Addr(5000))
		if err != nil {
			return nil
		}
		return errors.Join(errors.New("5000 is open"), c.Close())
	})
	_, err := p.client.Start(lab.Spec{Name: "quorate", Args: []string{program(t), "run", path}})
	must(t, err)
	replicas := strings.Replace(p.Target(), "port=5000", "port=5001", 1)
	leads := func(h *lab.Host) {
		t.Helper()
		for target, want := range map[string]bool{p.Target(): true, replicas: false} {
			eventually(t, p.ctx, "the ports lead where they should", func() error {
				got, err := query(p.ctx, p.client, target, "SELECT host(inet_server_addr())")
				if err == nil && (got == h.IP()) != want {
					err = fmt.Errorf("%s leads to %s, and %s is the primary", target, got, h.IP())
				}
				return err
			})
		}
	}
	from := p.Primary(p.ctx)
	leads(from)
	to := p.hosts[0] // any other one, but in synchronous mode, where Patroni hands over to its synchronous standby only
	if to == from {
		to = p.hosts[1]
	}
	if p.synchronous {
		eventually(t, p.ctx, "a synchronous standby", func() error {
			if to = p.SyncStandby(p.ctx); to == nil {
				return errors.New("there is none")
			}
			return nil
		})
	}
	must(t, p.Switchover(p.ctx, from, to))
	leads(to)

	// The store away: no writes once the lease must have ended, replicas for stale_reads more, and then nothing.
	for _, h := range p.hosts {
		must(t, h.Signal(unix.SIGKILL, lab.Program("etcd")))
	}
	gone := time.Now()
	var writes, reads time.Duration // until they ended
	eventually(t, p.ctx, "the table expires", func() error {
		_, err := query(p.ctx, p.client, p.Target(), "CREATE TEMP TABLE t (a int)")
		if err == nil {
			writes = time.Since(gone)
		}
		if _, err := query(p.ctx, p.client, replicas, "SELECT 1"); err == nil {
			reads = time.Since(gone)
			return errors.New("replicas are still served")
		}
		return nil
	})
	t.Logf("without etcd: writes for %.1f s, reads for %.1f s", writes.Seconds(), reads.Seconds())
	if writes > 21*time.Second || reads < writes {
		t.Error("the lease had 20 s")
	}
}

func TestPatroniAgentKilled(t *testing.T) {
	longRun(t)
	s := newPatroni(t, patronistack.Options{Driver: "etcd"})
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
	t.Run("router", s.routerOnKeys) // on the keys of etcd's old API
}

// patroni is the stack on a lab of its own.
type patroni struct {
	*patronistack.Stack
	ctx     context.Context
	section string // of the configuration: which of etcd's APIs
	// synchronous is Options.Synchronous.
	synchronous bool
	hosts       []*lab.Host
	client      *lab.Host
}

func newPatroni(t *testing.T, o patronistack.Options) patroni {
	t.Helper()
	if err := patronistack.Available(); err != nil {
		t.Skip(err)
	}
	l := lab.ForTest(t)
	p := patroni{section: "etcd3", hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app")}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	t.Cleanup(cancel)
	p.ctx = ctx
	if o.Driver != "" {
		p.section = o.Driver
	}
	o.Hosts, o.Router = p.hosts, p.client
	o.TTL, o.LoopWait, o.RetryTimeout = 20*time.Second, time.Second, 3*time.Second
	stack, err := patronistack.Start(ctx, o)
	must(t, err)
	p.Stack, p.synchronous = stack, o.Synchronous
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
