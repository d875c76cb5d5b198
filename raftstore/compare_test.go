package raftstore

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
)

func TestMembersThatDifferAreReported(t *testing.T) {
	regs := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry(), prometheus.NewRegistry()}
	c := started(t, 3, func(i int, o *Options) { o.hooks.compareEvery, o.Registerer = 10*time.Millisecond, regs[i] })
	lead := c.leader()
	c.put(lead, "k", "v")
	c.store(lead).compareMembers(c.store(lead).node.Load())
	if got := series(t, regs[lead], "quorate_store_members_differing"); got != 0 {
		t.Fatalf("%v members differ from the start", got)
	}
	// Write behind the log's back on one member.
	c.store(c.others(lead)[0]).state.kv.Put([]byte("k"), []byte("corrupt"), lease.NoLease)
	c.put(lead, "k", "w")
	waitFor(t, "the difference to be noticed", func() bool {
		return series(t, regs[c.leader()], "quorate_store_members_differing") > 0
	})
	waitFor(t, "the alarm", func() bool {
		resp, err := c.store(lead).Alarm(t.Context(), &pb.AlarmRequest{Alarm: pb.AlarmType_CORRUPT})
		return err == nil && len(resp.Alarms) > 0
	})
	_, err := patiently(t, func() (*pb.PutResponse, error) {
		return c.store(lead).Put(t.Context(), &pb.PutRequest{Key: []byte("k")})
	})
	wantErr(t, err, etcderrors.ErrCorrupt)
}

// series reads the value of a gauge.
func series(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no series %s", name)
	return 0
}
