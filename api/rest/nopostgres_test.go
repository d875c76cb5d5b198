package rest

import (
	"context"
	"testing"

	"quorate/raftstore/dcs"
)

// onlooker is the backend of a host without PostgreSQL.
type onlooker struct {
	NoPostgres
	m *memory
}

func (o onlooker) Status() *NodeStatus                                 { return o.m.Status() }
func (o onlooker) Cluster() *dcs.Cluster                               { return o.m.Cluster() }
func (o onlooker) ClusterChanged() <-chan struct{}                     { return o.m.ClusterChanged() }
func (o onlooker) Decisions() []DecisionRecord                         { return nil }
func (o onlooker) Events(ctx context.Context) <-chan Event             { return o.m.Events(ctx) }
func (o onlooker) ReadCluster(c context.Context) (*dcs.Cluster, error) { return o.m.ReadCluster(c) }
func (o onlooker) Commit(c context.Context, t dcs.Txn) (bool, error)   { return o.m.Commit(c, t) }

func TestHostWithoutPostgres(t *testing.T) {
	m := cluster(`{}`)
	bare := replicaStatus()
	bare.Postgres = Postgres{State: StateStopped, Role: RoleUninitialized}
	m.publish(bare)
	woken, reloaded := false, false
	o := onlooker{NoPostgres{
		WakeFunc:   func() { woken = true },
		ReloadFunc: func(context.Context) error { reloaded = true; return nil },
		ProbeFunc:  m.Probe,
	}, m}
	s := newTestServer(t, m, func(opt *Options) { opt.Backend = o })
	for request, want := range map[[3]string]int{
		{"GET", "/liveness"}: 200, {"GET", "/readiness"}: 503, {"GET", "/"}: 503, {"GET", "/replica"}: 503, {"GET", "/health"}: 503,
		{"GET", "/leader"}: 503, {"GET", "/async"}: 503, {"GET", "/patroni"}: 200, {"GET", "/cluster"}: 200, {"GET", "/metrics"}: 200,
		{"POST", "/restart"}: 503, {"POST", "/reinitialize"}: 503, {"DELETE", "/restart"}: 404, {"POST", "/reload"}: 202,
		{"PATCH", "/config", `{"ttl":25}`}: 200, {"POST", "/v1/pledge", `{"term":{},"from":"x"}`}: 503,
		{"POST", "/switchover", `{"leader":"n1","scheduled_at":"2099-01-01T00:00Z"}`}: 202,
		{"POST", "/restart", `{"schedule":"2099-01-01T00:00Z"}`}:                      503,
	} {
		if code, text, _ := ask(s, request[0], request[1], request[2]); code != want {
			t.Errorf("%v: %d %s", request, code, text)
		}
	}
	if !woken || !reloaded {
		t.Error("not woken or not reloaded")
	}
}
