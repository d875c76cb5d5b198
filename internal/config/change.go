package config

import (
	"reflect"
	"slices"
	"strings"
)

// atStart are the settings that a running host cannot change: beneath them everything is as it was at its start. A name in the list
// stands for all beneath it.
var atStart = []string{
	"name", "scope", "namespace", "roles", "store", "gossip", "raft", "etcd", "etcd3",
	"postgresql.data_dir", "postgresql.config_dir", "watchdog.driver", "bootstrap",
}

// Change is what differs between two configurations of one host.
type Change struct {
	Settings []string // dotted names, in order
	// Restart are those of Settings that take effect at the next start of the agent only.
	Restart []string
}

// Empty says whether nothing differs.
func (c Change) Empty() bool { return len(c.Settings) == 0 }

// Changed compares what is written in two configurations, as a reload does. What follows from other facts (an address that has
// moved) does not count.
func Changed(old, now *Config) Change {
	var c Change
	differences(&c.Settings, "", old.tree.plainMap(), now.tree.plainMap())
	for _, name := range c.Settings {
		if slices.ContainsFunc(atStart, func(s string) bool { return name == s || strings.HasPrefix(name, s+".") }) {
			c.Restart = append(c.Restart, name)
		}
	}
	return c
}

// differences collects the names of the settings whose values differ; a list counts as one value.
func differences(out *[]string, path string, old, now map[string]any) {
	for _, key := range union(old, now) {
		a, b := old[key], now[key]
		sub, isMap := a.(map[string]any)
		subNow, isMapNow := b.(map[string]any)
		switch {
		case isMap && (isMapNow || b == nil), a == nil && isMapNow:
			differences(out, path+key+".", sub, subNow)
		case !reflect.DeepEqual(a, b):
			*out = append(*out, path+key)
		}
	}
}

func union(a, b map[string]any) []string {
	keys := make([]string, 0, len(a))
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, twice := a[k]; !twice {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
