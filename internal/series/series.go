// Package series puts the metrics of a process together for one page.
package series

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// hidden are families that etcd's packages register when they are linked, and that nothing here feeds: zeros would pass for measurements.
var hidden = []string{"etcd_disk_wal_write_", "etcd_snap_", "etcd_debugging_snap_"}

// Join shows the families of both, each once: where both have one, the first's counts. prometheus.Gatherers would refuse the whole page.
func Join(first, second prometheus.Gatherer) prometheus.Gatherer {
	if second == nil {
		return first
	}
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		all, err := first.Gather()
		more, moreErr := second.Gather()
		known := map[string]bool{}
		for _, f := range all {
			known[f.GetName()] = true
		}
		for _, f := range more {
			if !known[f.GetName()] && !isHidden(f.GetName()) {
				all = append(all, f)
			}
		}
		slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
		return all, errors.Join(err, moreErr)
	})
}

func isHidden(name string) bool {
	return slices.ContainsFunc(hidden, func(p string) bool { return strings.HasPrefix(name, p) })
}
