package instance_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// One control file is asked about once, and a change of it is seen.
func TestControlDataIsKeptWhileTheFileStays(t *testing.T) {
	n := newNode(t, "node-a").bootstrap()
	n.ok(n.Stop(bounded(t), instance.StopOptions{}))
	asked := filepath.Join(n.opt.SocketDir, "asked")
	bin := filepath.Join(n.opt.SocketDir, "bin")
	n.ok(os.Mkdir(bin, 0o755))
	n.ok(os.WriteFile(asked, nil, 0o666))
	n.ok(os.Chmod(asked, 0o666))
	for name, body := range map[string]string{"pg_controldata": "echo x >> " + asked + "; ", "postgres": ""} {
		n.ok(os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+body+"exec "+filepath.Join(binDir(t), name)+` "$@"`+"\n"), 0o755))
	}
	n.kill()
	n.opt.BinDir = bin
	n.open()

	times := func() int {
		b, _ := os.ReadFile(asked)
		return bytes.Count(b, []byte("x"))
	}
	before, err := n.ControlData(bounded(t))
	n.ok(err)
	was := times()
	for range 3 {
		again, err := n.ControlData(bounded(t))
		n.ok(err)
		if again != before {
			t.Errorf("%+v, then %+v of the same file", before, again)
		}
	}
	if got := times(); was == 0 || got != was {
		t.Errorf("pg_controldata ran %d times for one file, %d at first", got, was)
	}
	n.ok(n.StartPrimary(bounded(t), postgres.SyncNames{}))
	n.ok(n.Stop(bounded(t), instance.StopOptions{}))
	after, err := n.ControlData(bounded(t))
	n.ok(err)
	if after.Checkpoint <= before.Checkpoint {
		t.Errorf("the checkpoint was %s and is %s after another shutdown", before.Checkpoint, after.Checkpoint)
	}
}

// A start that takes longer than anybody waits for it is seen when it is done, not at the next look.
func TestMonitorSeesTheEndOfALongStart(t *testing.T) {
	started := func() {}
	n := newNode(t, "node-a", func(o *instance.Options) {
		o.Supervisor = impatient{o.Supervisor, func() { started() }}
	}).bootstrap()
	n.ok(n.Stop(bounded(t), instance.StopOptions{}))
	goOn := filepath.Join(n.opt.SocketDir, "go-on")
	conf := testConfig()
	conf.Recovery = postgres.Params{"restore_command": "case %f in *.history) ;; *) until test -e " + goOn + "; do sleep 0.05; done ;; esac; false"}
	n.must(n.Configure(bounded(t), conf))
	ctx, cancel := context.WithCancel(bounded(t))
	started = cancel
	n.wantErr(n.StartStandby(ctx, postgres.Upstream{}), instance.ErrNotReady)

	m, next := n.watchSamples(instance.MonitorOptions{Interval: time.Hour})
	next("the start", func(s instance.Sample) bool {
		if !s.Starting {
			m.Poke() // the first look can come before the server listens
		}
		return s.Starting
	})
	n.ok(os.WriteFile(goOn, nil, 0o644))
	next("an answer", func(s instance.Sample) bool { return s.Err == nil && s.Status.InRecovery })
}
