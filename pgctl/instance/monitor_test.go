package instance_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// watchSamples runs a monitor and returns a function that waits for a sample.
func (n *node) watchSamples(o instance.MonitorOptions) (m *instance.Monitor, next func(what string, ok func(instance.Sample) bool) instance.Sample) {
	n.t.Helper()
	samples := make(chan instance.Sample, 1000)
	o.OnSample = func(s instance.Sample) {
		select {
		case samples <- s:
		default:
		}
	}
	m = n.NewMonitor(o)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	n.t.Cleanup(func() { cancel(); wg.Wait() })
	return m, func(what string, ok func(instance.Sample) bool) instance.Sample {
		n.t.Helper()
		deadline := time.After(testTimeout)
		for {
			select {
			case s := <-samples:
				if ok(s) {
					return s
				}
			case <-deadline:
				n.t.Fatalf("no sample with %s; the last is %+v", what, m.Newest())
			}
		}
	}
}

func TestMonitorSeesPrimaryAndStandby(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	a.ok(a.EnsureSlot(ctx, "node_b"))
	_, nextA := a.watchSamples(instance.MonitorOptions{Interval: 20 * time.Millisecond})
	_, nextB := b.watchSamples(instance.MonitorOptions{Interval: 20 * time.Millisecond})
	sysid := a.sql("SELECT system_identifier FROM pg_control_system()")

	s := nextA("the standby", func(s instance.Sample) bool {
		return s.Err == nil && len(s.Status.Standbys) == 1 && s.Status.Standbys[0].Flush != 0
	})
	st := s.Status
	if st.InRecovery || st.Timeline != 1 || st.SystemID != sysid || st.Current.IsZero() || st.Version.Major() < 12 || st.StartedAt.IsZero() || st.End() != st.Current {
		t.Errorf("primary: %+v", st)
	}
	if x := st.Standbys[0]; x.Name != "node-b" || x.State != "streaming" || x.SyncState != "async" || x.User != "replicator" || x.Addr != "127.0.0.1" {
		t.Errorf("standby as the primary sees it: %+v", x)
	}
	if len(st.Slots) != 1 || st.Slots[0].Name != "node_b" || st.Slots[0].Active || st.Slots[0].Restart.IsZero() || st.Slots[0].WALStatus != "reserved" {
		t.Errorf("slots: %+v", st.Slots)
	}
	s = nextB("the receiver", func(s instance.Sample) bool { return s.Err == nil && s.Status.Receiver != nil })
	st = s.Status
	if !st.InRecovery || st.Timeline != 1 || st.SystemID != sysid || !st.Current.IsZero() || st.End().IsZero() || st.Receiver.Port != a.port || st.Receiver.Status != "streaming" {
		t.Errorf("standby: %+v", st)
	}

	// Without a receiver the timeline is asked for, and after a promotion it is the new one.
	b.must(b.StopReceiver(ctx))
	s = nextB("no receiver", func(s instance.Sample) bool { return s.Err == nil && s.Status.Receiver == nil })
	if s.Status.Timeline != 1 {
		t.Errorf("standby without a receiver: %+v", s.Status)
	}
	a.ok(a.Stop(ctx, instance.StopOptions{}))
	b.must(b.Promote(ctx, postgres.SyncNames{}))
	s = nextB("the promotion", func(s instance.Sample) bool { return s.Err == nil && !s.Status.InRecovery })
	if s.Status.Timeline != 2 || s.Status.Received != 0 {
		t.Errorf("promoted: %+v", s.Status)
	}
	b.ok(b.Stop(ctx, instance.StopOptions{}))
	if s := nextB("the end", func(s instance.Sample) bool { return s.PID == 0 }); s.Err == nil || !s.StatusAt.IsZero() || s.Status.SystemID != "" {
		t.Errorf("a server that has gone: %+v", s)
	}
	if a := s.Age(boottime.Now()); a < 0 || a > testTimeout {
		t.Errorf("age %s", a)
	}
}

// signalAll sends a signal to every process of the server.
func (n *node) signalAll(sig syscall.Signal) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		if cwd, err := os.Readlink(l); err == nil && cwd == n.dir {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(l))); err == nil {
				_ = syscall.Kill(pid, sig)
			}
		}
	}
}

func TestMonitorOfAHungServer(t *testing.T) {
	a := newNode(t, "node-a").bootstrap()
	m, next := a.watchSamples(instance.MonitorOptions{Interval: 20 * time.Millisecond, Timeout: 200 * time.Millisecond})
	good := next("an answer", func(s instance.Sample) bool { return s.Err == nil })
	a.signalAll(syscall.SIGSTOP)
	t.Cleanup(func() { a.signalAll(syscall.SIGCONT) })
	bad := next("two failures", func(s instance.Sample) bool { return s.Failures >= 2 })
	if bad.Err == nil || bad.StatusAt < good.StatusAt || bad.Status.SystemID != good.Status.SystemID || !bad.Asked.After(bad.StatusAt) {
		t.Errorf("a hung server: %+v", bad)
	}
	a.signalAll(syscall.SIGCONT)
	m.Poke()
	if s := next("an answer again", func(s instance.Sample) bool { return s.Err == nil }); s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMonitorRefusesAnotherServer(t *testing.T) {
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b", func(o *instance.Options) { o.Port, o.SocketDir = a.port, a.opt.SocketDir })
	b.ok(b.Initdb(bounded(t), instance.InitdbOptions{Args: []string{"--no-sync"}}))
	_, next := b.watchSamples(instance.MonitorOptions{Interval: 20 * time.Millisecond})
	s := next("a refusal", func(s instance.Sample) bool { return s.Err != nil })
	b.wantErr(s.Err, instance.ErrWrongServer)
}
