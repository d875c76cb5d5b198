package dynamic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/internal/config/nearest"
)

// Correction reports that a setting could not be used as it was written.
type Correction struct {
	Setting string // the dotted name, for example "postgresql.parameters.wal_level"
	Found   string // what was written, as text
	Used    string // what holds instead; empty: the setting is left out
	Reason  string
	Kind    Kind
}

// Kind says how wrong a corrected setting was.
type Kind int

// The kinds of correction.
const (
	Wrong     Kind = iota // it cannot be understood, or its value is none of the allowed ones
	Adjusted              // it is understood, and lies outside its bounds
	Misplaced             // it is right, in the wrong layer
	Unknown               // there is no setting of this name
)

// String is the sentence for a log line or an answer of the API.
func (c Correction) String() string {
	if c.Used != "" && c.Used == c.Found {
		return fmt.Sprintf("%s: %s stays: %s", c.Setting, c.Found, c.Reason)
	}
	if c.Used == "" {
		found := c.Found
		switch found { // Quote's words for what has no short text
		case "a mapping", "a list":
			found = "the " + strings.TrimPrefix(found, "a ")
		}
		return fmt.Sprintf("%s: %s is ignored: %s", c.Setting, found, c.Reason)
	}
	return fmt.Sprintf("%s: %s is used instead of %s: %s", c.Setting, c.Used, c.Found, c.Reason)
}

var errText = errors.New("expected text")

// reader takes settings out of one mapping and remembers which names it was asked for: what is left over is unknown.
type reader struct {
	path  string
	raw   map[string]any
	known []string
	out   *[]Correction
}

// name is the dotted name of a key.
func (r *reader) name(key string) string {
	if r.path == "" {
		return key
	}
	return r.path + "." + key
}

// wrong reports a value that cannot be used.
func (r *reader) wrong(key, found, used, reason string) { r.report(Wrong, key, found, used, reason) }

// adjusted reports a value out of bounds.
func (r *reader) adjusted(key, found, used, reason string) {
	r.report(Adjusted, key, found, used, reason)
}

// misplaced reports a value that belongs into another layer.
func (r *reader) misplaced(key, found, reason string) { r.report(Misplaced, key, found, "", reason) }

func (r *reader) report(kind Kind, key, found, used, reason string) {
	*r.out = append(*r.out, Correction{Setting: r.name(key), Found: found, Used: used, Reason: reason, Kind: kind})
}

// get finds a setting by its name or an older one. Null counts as absent.
func (r *reader) get(names ...string) (key string, value any, ok bool) {
	r.known = append(r.known, names...)
	for _, n := range names {
		if v, exists := r.raw[n]; exists && v != nil {
			return n, v, true
		}
	}
	return names[0], nil, false
}

// scalar reads one setting by parse; what cannot be read becomes def.
func scalar[T any](r *reader, def T, parse func(any) (T, error), names ...string) T {
	key, v, ok := r.get(names...)
	if !ok {
		return def
	}
	x, err := parse(v)
	if err != nil {
		r.wrong(key, Quote(v), defaultText(def), err.Error())
		return def
	}
	return x
}

func defaultText(def any) string {
	if d, ok := def.(time.Duration); ok {
		return seconds(d)
	}
	if s, ok := def.(string); ok && s == "" {
		return ""
	}
	return Text(def)
}

func (r *reader) bool(key string, def bool) bool { return scalar(r, def, Bool, key) }

func (r *reader) text(names ...string) string {
	return scalar(r, "", func(v any) (string, error) {
		switch v.(type) {
		case map[string]any, []any:
			return "", errText
		}
		return Text(v), nil
	}, names...)
}

// int reads a whole number that is at least least.
func (r *reader) int(key string, def, least int) int {
	n := int(scalar(r, int64(def), Int, key))
	if n < least {
		r.adjusted(key, Text(n), Text(least), "the minimum is "+Text(least))
		return least
	}
	return n
}

// duration reads a time in seconds or with a unit; it is never negative.
func (r *reader) duration(def time.Duration, names ...string) time.Duration {
	d := scalar(r, def, func(v any) (time.Duration, error) { return Duration(v, time.Second) }, names...)
	if d < 0 {
		r.adjusted(names[0], seconds(d), "0", "a time cannot be negative")
		return 0
	}
	return d
}

// wholeSeconds reads a time that the store keeps in seconds: fractions are rounded up.
func (r *reader) wholeSeconds(key string, def, least time.Duration) time.Duration {
	d := scalar(r, def, func(v any) (time.Duration, error) { return Duration(v, time.Second) }, key)
	used, reason := d, ""
	if whole := ceilSecond(d); whole != d {
		used, reason = whole, "it is counted in whole seconds"
	}
	if used < least {
		used, reason = least, "the minimum is "+seconds(least)
	}
	if used != d {
		r.adjusted(key, seconds(d), seconds(used), reason)
	}
	return used
}

// sub is a reader of a nested mapping; ok is false when there is none.
func (r *reader) sub(names ...string) (*reader, bool) {
	key, v, ok := r.get(names...)
	m, isMap := v.(map[string]any)
	if ok && !isMap {
		r.wrong(key, Quote(v), "", "expected a mapping")
	}
	return &reader{path: r.name(key), raw: m, out: r.out}, isMap
}

// list reads a list; a single scalar counts as a list of one.
func (r *reader) list(names ...string) (key string, items []any, ok bool) {
	key, v, ok := r.get(names...)
	switch x := v.(type) {
	case nil:
		return key, nil, false
	case []any:
		return key, x, ok
	case map[string]any:
		r.wrong(key, Quote(v), "", "expected a list")
		return key, nil, false
	}
	return key, []any{v}, true
}

// strings reads a list of texts.
func (r *reader) strings(names ...string) []string {
	key, items, ok := r.list(names...)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(items))
	for i, v := range items {
		switch v.(type) {
		case map[string]any, []any, nil:
			r.wrong(fmt.Sprintf("%s[%d]", key, i), Quote(v), "", "expected text")
			continue
		}
		out = append(out, Text(v))
	}
	return out
}

// gucs reads a mapping of PostgreSQL parameters. Null takes a parameter out.
func (r *reader) gucs(key string) map[string]string {
	sub, ok := r.sub(key)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(sub.raw))
	for name, v := range sub.raw {
		switch v.(type) {
		case nil:
		case map[string]any, []any:
			sub.wrong(name, Quote(v), "", "expected a number, text or a boolean")
		default:
			out[name] = GUC(v)
		}
	}
	return out
}

// unknown reports the names that nobody asked for, with the one that was probably meant.
func (r *reader) unknown() {
	for _, key := range SortedKeys(r.raw) {
		if slices.Contains(r.known, key) || r.raw[key] == nil {
			continue
		}
		reason := "there is no such setting"
		if n := nearest.Word(key, r.known); n != "" {
			reason += "; did you mean " + n + "?"
		}
		r.report(Unknown, key, Quote(r.raw[key]), "", reason)
	}
}

// SortedKeys are the keys of a mapping in order.
func SortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
