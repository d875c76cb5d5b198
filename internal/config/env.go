package config

import (
	"maps"
	"slices"
	"strings"

	"quorate/internal/config/dynamic"
	"quorate/internal/config/nearest"
)

// textVariable holds a whole configuration; while it is used no other variable is.
const textVariable = "PATRONI_CONFIGURATION"

// IsVariable says whether a variable of the environment is meant for this program.
func IsVariable(name string) bool {
	return strings.HasPrefix(name, "PATRONI_") || strings.HasPrefix(name, "QUORATE_")
}

// environment lays the variables over the tree, in the order of their names.
func (p *parser) environment(t *tree, env map[string]string) {
	names := environmentNames()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !IsVariable(name) || name == textVariable {
			continue
		}
		v, ok := names[name]
		if !ok {
			p.unknownVariable(name, names)
			continue
		}
		value := p.variable(name, env[name], v.form)
		if value == nil {
			continue
		}
		t.put(v.path, value)
	}
}

func (p *parser) unknownVariable(name string, names map[string]variable) {
	text := "there is no such variable; it is ignored"
	if n := nearest.Word(name, slices.Sorted(maps.Keys(names))); n != "" {
		text += "; did you mean " + n + "?"
	}
	p.warn(Place{Source: name}, "", "%s", text)
}

// variable reads the text of one variable; nil when it says nothing.
func (p *parser) variable(name, text string, f form) *tree {
	at := Place{Source: name}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return nil
	}
	if f == asFormat {
		f = asList
		if strings.Contains(text, "%(") {
			f = asText
		}
	}
	switch {
	case f == asDict && !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "["):
		return p.inline(at, "{"+trimmed+"}", f)
	case f == asDict || f == asYAML || f == asList && (strings.Contains(trimmed, "[") || trimmed[0] == '-'):
		return p.inline(at, trimmed, f)
	case f == asList:
		list := &tree{at: at, kind: isList}
		for word := range strings.SplitSeq(trimmed, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list.items = append(list.items, &tree{at: at, scalar: strings.Trim(word, `"'`)})
			}
		}
		return list
	}
	return &tree{at: at, scalar: text}
}

// inline reads the YAML of a variable; where text is allowed, what is not YAML is text.
func (p *parser) inline(at Place, text string, f form) *tree {
	quiet := &findings{}
	wrapped := quiet.parseYAML(at.Source, []byte("v:\n  "+strings.ReplaceAll(text, "\n", "\n  ")+"\n")).get("v")
	if err := quiet.err(); err != nil || wrapped == nil || f == asDict && wrapped.kind != isMap {
		if f == asYAML {
			return &tree{at: at, scalar: text}
		}
		want := "a list, as YAML or with commas"
		if f == asDict {
			want = "a YAML mapping of the form {a: b}"
		}
		p.wrong(at, "", dynamic.Quote(text), want)
		return nil
	}
	wrapped.relocate(at)
	return wrapped
}

// relocate gives a whole tree one place.
func (t *tree) relocate(at Place) {
	t.at = at
	for _, item := range t.items {
		item.relocate(at)
	}
	for _, f := range t.fields {
		f.value.relocate(at)
	}
}
