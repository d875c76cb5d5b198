package gossip

import "github.com/prometheus/client_golang/prometheus"

var (
	membersDesc   = prometheus.NewDesc("quorate_gossip_members", "Hosts that this one sees, itself included.", []string{"state"}, nil)
	conflictsDesc = prometheus.NewDesc("quorate_gossip_conflicts", "Names that two hosts claim.", nil, nil)
)

func register(g *Gossip, reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	return reg.Register(collector{g})
}

func unregister(g *Gossip, reg prometheus.Registerer) {
	if reg != nil {
		reg.Unregister(collector{g})
	}
}

// collector reads the numbers off the view when asked.
type collector struct{ g *Gossip }

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- membersDesc
	ch <- conflictsDesc
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	v := c.g.View()
	suspects := 0
	for _, m := range v.Members {
		if m.Suspect {
			suspects++
		}
	}
	ch <- prometheus.MustNewConstMetric(membersDesc, prometheus.GaugeValue, float64(len(v.Members)-suspects), "alive")
	ch <- prometheus.MustNewConstMetric(membersDesc, prometheus.GaugeValue, float64(suspects), "suspect")
	ch <- prometheus.MustNewConstMetric(conflictsDesc, prometheus.GaugeValue, float64(len(v.Conflicts)))
}
