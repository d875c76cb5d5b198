package etcdhost

import (
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sections are the parts of the file whose keys are flags with another name.
var sections = map[string]map[string]string{
	"client-transport-security": {
		"cert-file": "cert-file", "key-file": "key-file", "client-cert-auth": "client-cert-auth", "trusted-ca-file": "trusted-ca-file",
		"auto-tls": "auto-tls", "crl-file": "client-crl-file", "ca-file": "ca-file", "allowed-hostname": "client-cert-allowed-hostname",
		"client-cert-file": "client-cert-file", "client-key-file": "client-key-file",
	},
	"peer-transport-security": {
		"cert-file": "peer-cert-file", "key-file": "peer-key-file", "client-cert-auth": "peer-client-cert-auth",
		"trusted-ca-file": "peer-trusted-ca-file", "auto-tls": "peer-auto-tls", "crl-file": "peer-crl-file", "ca-file": "peer-ca-file",
		"allowed-cn": "peer-cert-allowed-cn", "allowed-hostname": "peer-cert-allowed-hostname",
		"client-cert-file": "peer-client-cert-file", "client-key-file": "peer-client-key-file",
	},
}

// readFile reads a configuration file (YAML, or JSON, which is YAML too).
func readFile(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config-file: %w", err)
	}
	given, err := parseFile(b)
	if err != nil {
		return nil, fmt.Errorf("--config-file %s: %w", path, err)
	}
	return given, nil
}

func parseFile(b []byte) (map[string]string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	given := map[string]string{}
	if len(doc.Content) == 0 {
		return given, nil
	}
	return given, pairs(doc.Content[0], func(key string, val *yaml.Node) error {
		if names, ok := sections[key]; ok {
			return pairs(val, func(key string, val *yaml.Node) error { return put(given, names[key], key, val) })
		}
		return put(given, key, key, val)
	})
}

// pairs goes through a mapping.
func pairs(n *yaml.Node, each func(key string, val *yaml.Node) error) error {
	if n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: expected keys with values", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := each(n.Content[i].Value, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func put(given map[string]string, name, key string, val *yaml.Node) error {
	o, ok := byName(name)
	if !ok || name == "config-file" {
		return fmt.Errorf("line %d: unknown key %q", val.Line, key)
	}
	name = o.name
	switch val.Kind {
	case yaml.ScalarNode:
		if val.Tag != "!!null" {
			given[name] = val.Value
		}
		return nil
	case yaml.SequenceNode:
		var list []string
		for _, c := range val.Content {
			if c.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: %s is a list of text", c.Line, key)
			}
			list = append(list, c.Value)
		}
		given[name] = strings.Join(list, ",")
		return nil
	}
	return fmt.Errorf("line %d: %s has keys of its own, expected text", val.Line, key)
}
