package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the values of one text with its aliases followed, so that a small text cannot expand without end.
const maxNodes = 100_000

// parseYAML turns a text into a tree. The text is a mapping, or empty.
func (f *findings) parseYAML(source string, text []byte) *tree {
	empty := newMap(Place{Source: source, Line: 1})
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			f.syntax(source, err)
		}
		return empty
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		f.wrong(Place{Source: source}, "", "a second YAML document", "one document")
	}
	b := builder{findings: f, source: source, left: maxNodes}
	t := b.build(&doc, Place{Source: source, Line: 1})
	switch {
	case b.left < 0:
		f.wrong(Place{Source: source}, "", "a text that expands to more than "+strconv.Itoa(maxNodes)+" values", "a smaller one")
	case t.kind == isMap:
		return t
	case t.kind != isScalar || t.scalar != nil:
		f.wrong(t.at, "", quote(t), "settings of the form 'name: value'")
	}
	return empty
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// syntax reports an error of the YAML reader with its line as a place.
func (f *findings) syntax(source string, err error) {
	at, text := Place{Source: source}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	f.wrong(at, "", "a syntax error: "+text, "YAML")
}

type builder struct {
	*findings
	source string
	left   int
}

// build converts one node; at is the place of the key that it belongs to, since a block's first line is not the key's.
func (b *builder) build(n *yaml.Node, at Place) *tree {
	b.left--
	null := &tree{at: at}
	if b.left < 0 {
		return null
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return b.build(n.Content[0], at)
	case yaml.AliasNode:
		return b.build(n.Alias, at)
	case yaml.SequenceNode:
		t := &tree{at: at, kind: isList}
		for _, c := range n.Content {
			t.items = append(t.items, b.build(c, b.place(c)))
		}
		return t
	case yaml.MappingNode:
		return b.mapping(n, at)
	case yaml.ScalarNode:
		return b.scalar(n, at)
	}
	return null
}

func (b *builder) place(n *yaml.Node) Place { return Place{Source: b.source, Line: n.Line} }

func (b *builder) mapping(n *yaml.Node, at Place) *tree {
	t, seen := newMap(at), map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Tag == "!!merge" {
			b.inherit(t, b.build(value, b.place(key)))
			continue
		}
		if key.Kind != yaml.ScalarNode {
			b.wrong(b.place(key), "", "a key that is a list or a mapping", "text")
			continue
		}
		if line, twice := seen[key.Value]; twice {
			b.wrong(b.place(key), key.Value, "the key a second time", fmt.Sprintf("it once: it stands on line %d already", line))
			continue
		}
		seen[key.Value] = key.Line
		t.set(key.Value, b.build(value, b.place(key)))
	}
	return t
}

// inherit adds what a merge key (<<) brings: fields that the mapping does not have itself.
func (b *builder) inherit(t, from *tree) {
	if from.kind == isList {
		for _, item := range from.items {
			b.inherit(t, item)
		}
		return
	}
	for _, f := range from.fields {
		if t.get(f.name) == nil {
			t.set(f.name, f.value)
		}
	}
}

func (b *builder) scalar(n *yaml.Node, at Place) *tree {
	t := &tree{at: at}
	var v any
	if err := n.Decode(&v); err != nil {
		b.wrong(at, "", strconv.Quote(n.Value), "a value that YAML can read")
		return t
	}
	switch x := v.(type) {
	case nil, bool, float64, string:
		t.scalar = x
	case int:
		t.scalar = int64(x)
	case int64:
		t.scalar = x
	default: // A time, a binary or a number too large: what was typed is what was meant.
		t.scalar = n.Value
	}
	return t
}
