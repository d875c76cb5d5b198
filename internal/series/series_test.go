package series

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func registry(value float64, names ...string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	for _, name := range names {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
		g.Set(value)
		r.MustRegister(g)
	}
	return r
}

// A family that both have is the first's; what nothing feeds is not shown; the page stays in order.
func TestJoin(t *testing.T) {
	all, err := Join(registry(1, "b", "d"), registry(2, "a", "b", "c", "etcd_disk_wal_write_bytes_total")).Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name  string
		value float64
	}{{"a", 2}, {"b", 1}, {"c", 2}, {"d", 1}}
	if len(all) != len(want) {
		t.Fatalf("families: %v", all)
	}
	for i, w := range want {
		if got := all[i].GetMetric()[0].GetGauge().GetValue(); all[i].GetName() != w.name || got != w.value {
			t.Errorf("family %d is %s with %v, want %v", i, all[i].GetName(), got, w)
		}
	}
	if one, err := Join(registry(1, "a"), nil).Gather(); err != nil || len(one) != 1 {
		t.Errorf("with nothing to join: %v, %v", one, err)
	}
}
