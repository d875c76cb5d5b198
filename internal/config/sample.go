package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"strings"
)

//go:embed sample.yml
var sample string

// Placeholder stands in what is generated where a person has to write a secret.
const Placeholder = "change-me"

// Sample is a whole configuration with comments, for a cluster of three hosts of which this is one.
func Sample(h Host, scope string) string {
	name := h.Name
	if !validName(name) {
		name = "node1"
	}
	if scope == "" {
		scope = "main"
	}
	return strings.NewReplacer("{{name}}", name, "{{scope}}", scope, "{{address}}", h.reachable()).Replace(sample)
}

// reachable is the address by which others know this host, or a loopback address.
func (h Host) reachable() string { return cmp.Or(h.global(), loopback) }

// Generated is a configuration that takes over a server as it runs: its sections are given, for a host of that address; the rest is the
// sample's.
func Generated(h Host, scope string, sections func(address string) string) string {
	text := Sample(h, scope)
	cut := strings.Index(text, "bootstrap:\n")
	if cut < 0 {
		panic(fmt.Sprintf("config: the sample of %d bytes has no section bootstrap", len(text)))
	}
	return text[:cut] + sections(h.reachable())
}
