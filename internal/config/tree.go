package config

import (
	"strconv"
	"strings"
)

// tree is a configuration as it was written: scalars, lists and mappings that know their place.
type tree struct {
	at     Place
	scalar any      // of a scalar: string, int64, float64, bool or nil
	items  []*tree  // of a list
	fields []*field // of a mapping, in the order of the text
	kind   kind
}

type kind int

const (
	isScalar kind = iota
	isList
	isMap
)

type field struct {
	name  string
	value *tree
}

func newMap(at Place) *tree { return &tree{at: at, kind: isMap} }

// get is the value of a field; nil when there is none. A null counts as none.
func (t *tree) get(name string) *tree {
	if t == nil {
		return nil
	}
	for _, f := range t.fields {
		if f.name == name {
			if f.value.kind == isScalar && f.value.scalar == nil {
				return nil
			}
			return f.value
		}
	}
	return nil
}

// set gives a field a value, in place of the one that it had.
func (t *tree) set(name string, value *tree) {
	for _, f := range t.fields {
		if f.name == name {
			f.value = value
			return
		}
	}
	t.fields = append(t.fields, &field{name: name, value: value})
}

// put sets a value deep inside, and makes the mappings on the way to it. What stands in the way is replaced.
func (t *tree) put(path []string, value *tree) {
	if len(path) == 1 {
		t.set(path[0], value)
		return
	}
	sub := t.get(path[0])
	if sub == nil || sub.kind != isMap {
		sub = newMap(value.at)
		t.set(path[0], sub)
	}
	sub.put(path[1:], value)
}

// merge lays another mapping over t: mappings are merged, everything else is replaced.
func (t *tree) merge(over *tree) {
	for _, f := range over.fields {
		old := t.get(f.name)
		if old != nil && old.kind == isMap && f.value.kind == isMap {
			old.merge(f.value)
			continue
		}
		t.set(f.name, f.value)
	}
}

// plain is the value without its places: map[string]any, []any or a scalar.
func (t *tree) plain() any {
	if t == nil {
		return nil
	}
	switch t.kind {
	case isList:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			out[i] = item.plain()
		}
		return out
	case isMap:
		out := make(map[string]any, len(t.fields))
		for _, f := range t.fields {
			out[f.name] = f.value.plain()
		}
		return out
	}
	return t.scalar
}

// plainMap is plain for a mapping; nil for everything else.
func (t *tree) plainMap() map[string]any {
	m, _ := t.plain().(map[string]any)
	return m
}

// find is the place of a dotted name, or of the nearest value around it. Names may have dots in them (auto_explain.log_nested), so
// that each step takes the longest field that fits.
func (t *tree) find(path string) Place {
	if t == nil {
		return Place{}
	}
	best := ""
	for _, f := range t.fields {
		if fits(path, f.name) && len(f.name) > len(best) {
			best = f.name
		}
	}
	if sub := t.get(best); best != "" && sub != nil {
		return sub.find(strings.TrimPrefix(path[len(best):], "."))
	}
	if i, rest, ok := index(path); ok && i < len(t.items) {
		return t.items[i].find(rest)
	}
	return t.at
}

func fits(path, name string) bool {
	rest, ok := strings.CutPrefix(path, name)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// index parts "[3].name" into 3 and "name".
func index(path string) (i int, rest string, ok bool) {
	number, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	if !ok || !strings.HasPrefix(path, "[") {
		return 0, "", false
	}
	i, err := strconv.Atoi(number)
	return i, strings.TrimPrefix(rest, "."), err == nil && i >= 0
}
