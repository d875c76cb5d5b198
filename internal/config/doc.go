// Package config reads what a host is told: Patroni's YAML and PATRONI_ environment, unchanged, and the sections store, gossip
// and proxy more.
//
// [Parse] is pure: texts, an environment and facts about the host go in, a [Config], warnings and errors come out. [Load] finds
// the texts first. Every error names the file, the line, the key, what was found and what is expected, and all of them are
// reported at once. What can be derived need not be written: the name from the host, the address from the way to the first
// peer, the ports from the defaults.
//
// What the members of a cluster share lives in the package dynamic beneath; [Config.Effective] lays the two together.
package config
