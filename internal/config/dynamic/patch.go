package dynamic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrNotObject means that a document which must be a JSON object is something else.
var ErrNotObject = errors.New("expected is a JSON object")

// Decode reads a configuration from JSON, or another document that is an object; an error says what is wrong and not of what. Whole numbers become
// int64, so that none loses digits on its way.
func Decode(document []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: there is more after the first value")
	}
	m, ok := plain(v).(map[string]any)
	if !ok {
		return nil, ErrNotObject
	}
	return m, nil
}

// Encode writes a configuration as the store holds it: JSON without spaces, keys in order.
func Encode(raw map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if raw == nil {
		raw = map[string]any{}
	}
	if err := e.Encode(raw); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// plain replaces json.Number by int64 or float64, in place.
func plain(v any) any {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, err := x.Float64()
		if err != nil || math.IsInf(f, 0) {
			return x.String()
		}
		return f
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	}
	return v
}

// Patch applies a change to a configuration and says whether it made a difference: mappings are merged key by key, null deletes
// the key, and everything else replaces it: a mapping where there was none stays as it is, nulls included, which make physical slots of the first
// permanent ones (Patroni, patch_config). Scalars are compared as text, as Patroni does, so that 10 and "10" are no change.
// Neither argument is touched.
func Patch(raw, patch map[string]any) (map[string]any, bool) {
	out, changed := clone(raw), false
	for key, value := range patch {
		old, exists := out[key]
		switch value := value.(type) {
		case nil:
			delete(out, key)
			changed = changed || exists
		case map[string]any:
			sub, isMap := old.(map[string]any)
			if !isMap {
				out[key], changed = copied(value), true
				continue
			}
			merged, differs := Patch(sub, value)
			out[key] = merged
			changed = changed || differs
		default:
			if !exists || !same(old, value) {
				out[key] = copied(value)
				changed = true
			}
		}
	}
	return out, changed
}

// same compares two values as their text.
func same(a, b any) bool {
	switch a.(type) {
	case map[string]any, []any:
		x, errX := json.Marshal(a)
		y, errY := json.Marshal(b)
		return errX == nil && errY == nil && bytes.Equal(x, y)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return Text(a) == Text(b)
}

func clone(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = copied(v)
	}
	return out
}

func copied(v any) any {
	switch x := v.(type) {
	case map[string]any:
		return clone(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = copied(x[i])
		}
		return out
	}
	return v
}
