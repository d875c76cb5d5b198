package config

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed sample.yml
var sample string

// Sample is a whole configuration with comments, for a cluster of three hosts of which this is one.
func Sample(h Host, scope string) string {
	address := h.global()
	if address == "" {
		address = loopback
	}
	name := h.Name
	if !validName(name) {
		name = "node1"
	}
	if scope == "" {
		scope = "main"
	}
	return strings.NewReplacer("{{name}}", name, "{{scope}}", scope, "{{address}}", address).Replace(sample)
}

// Generated is a configuration that takes over a server as it runs: its sections are given, the rest is the sample's.
func Generated(h Host, scope string, bootstrap, postgresql string) string {
	text := Sample(h, scope)
	cut := strings.Index(text, "bootstrap:\n")
	if cut < 0 {
		panic(fmt.Sprintf("config: the sample of %d bytes has no section bootstrap", len(text)))
	}
	return text[:cut] + bootstrap + postgresql
}
