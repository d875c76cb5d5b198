package proxy

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// numbers reads the exported metrics: the name, then the values of the labels in the order of their names; a histogram is its count.
func numbers(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			switch f.GetType().String() {
			case "HISTOGRAM":
				out[name] = float64(m.GetHistogram().GetSampleCount())
			case "COUNTER":
				out[name] = m.GetCounter().GetValue()
			default:
				out[name] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

// What an operator looks at: sessions, bytes, connects, holds, ends by reason, refusals and the table's age, by listener and server.
func TestMetrics(t *testing.T) {
	a := newServer(t, "a")
	reg := prometheus.NewRegistry()
	r := newRouter(t, func(o *Options) { o.Registerer = reg; o.Listeners[1].Hold.Timeout = time.Millisecond })
	held := dialRouter(t, r, "primary")
	write(t, held, startup("ann", "shop"))
	eventually(t, "a client held", func() bool { return numbers(t, reg)["quorate_proxy_held_clients primary"] == 1 })
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	for _, kind := range []byte("RKZ") {
		expectMessage(t, held, kind)
	}
	expectEcho(t, held, "some bytes")
	refused := dialRouter(t, r, "replica")
	write(t, refused, startup("ann", "shop"))
	expectError(t, refused, stateCannotConnectNow)

	got := numbers(t, reg)
	for name, want := range map[string]float64{
		"quorate_proxy_sessions a primary":                 1,
		"quorate_proxy_sessions_bytes a in primary":        float64(len(startup("ann", "shop")) + len("some bytes")),
		"quorate_proxy_connect_seconds a":                  1,
		"quorate_proxy_holds_total primary no_table":       1,
		"quorate_proxy_hold_seconds primary":               1,
		"quorate_proxy_held_clients primary":               0,
		"quorate_proxy_refused_total replica hold_timeout": 1,
		"quorate_proxy_tables_total accepted":              1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if age := got["quorate_proxy_table_age_seconds"]; age <= 0 || age > 10 || got["quorate_proxy_table_valid_seconds"] < 3500 {
		t.Errorf("the table is %v s old and valid for %v s", age, got["quorate_proxy_table_valid_seconds"])
	}

	r.Publish(tableOf(2, a.backend(RolePrimary)))
	expectError(t, held, stateAdminShutdown)
	eventually(t, "no session", func() bool { return len(r.Sessions()) == 0 })
	got = numbers(t, reg)
	for name, want := range map[string]float64{
		"quorate_proxy_sessions a primary":                        0,
		"quorate_proxy_sessions_ended_total a primary term_ended": 1,
		"quorate_proxy_ended_sessions_bytes_total a in primary":   float64(len(startup("ann", "shop")) + len("some bytes")),
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
}
