package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FormatYAML writes a value as people edit it: keys in order, lists not indented, text in single quotes where it needs any. flow puts
// it all on one line.
func FormatYAML(v any, flow bool) string {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		return fmt.Sprintf("# cannot be shown: %v\n", err)
	}
	style(&n, flow)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if err := e.Encode(&n); err != nil {
		return fmt.Sprintf("# cannot be shown: %v\n", err)
	}
	return b.String()
}

func style(n *yaml.Node, flow bool) {
	if flow && (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) {
		n.Style |= yaml.FlowStyle
	}
	if n.Kind == yaml.ScalarNode && n.Style == yaml.DoubleQuotedStyle && !strings.ContainsFunc(n.Value, unprintable) {
		n.Style = yaml.SingleQuotedStyle
	}
	for _, c := range n.Content {
		style(c, flow)
	}
}

func unprintable(c rune) bool { return c < ' ' || c == 0x7f }

// pyJSON writes a value as Python's json.dumps does: a space behind colons and commas, what is not ASCII escaped.
func pyJSON(v any) string {
	switch x := v.(type) {
	case []any:
		parts := make([]string, len(x))
		for i := range x {
			parts[i] = pyJSON(x[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []pair:
		parts := make([]string, len(x))
		for i, p := range x {
			parts[i] = pyString(p.key) + ": " + pyJSON(p.value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, pyString(k)+": "+pyJSON(x[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case string:
		return pyString(x)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return pyString(fmt.Sprint(v))
	}
	return string(b)
}

func pyString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c > '~' && c <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, c)
		case c > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(c-0x10000)>>10, 0xdc00+(c-0x10000)&0x3ff)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
