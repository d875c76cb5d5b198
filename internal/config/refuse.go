package config

// stores that Patroni knows and Quorate does not speak to.
var foreignStores = []string{"consul", "zookeeper", "exhibitor", "kubernetes"}

const (
	insteadOfStore = "Quorate's own store (sections store and gossip) or an etcd (section etcd3): remove this section"
	insteadOfCitus = "nothing: Citus clusters are not managed; remove this section and keep such a cluster on Patroni"
)

// refuse names the sections of Patroni that have no counterpart, with what to do instead.
func (p *parser) refuse(top *section) {
	for _, key := range foreignStores {
		if t := top.raw(key); t != nil {
			p.wrong(t.at, key, "a section for a store that is not supported", insteadOfStore)
		}
	}
	if t := top.raw("citus"); t != nil {
		p.wrong(t.at, "citus", "a section for an extension that is not supported", insteadOfCitus)
	}
}
