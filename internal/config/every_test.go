package config_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"quorate/internal/config"
	"quorate/internal/config/dynamic"
)

const fullConfig = "everything/full.yml"

func readFull(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(fullConfig)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// outcome parses a configuration and gives the keys that it complains about.
func outcome(t *testing.T, m map[string]any) (keys []string, all string) {
	t.Helper()
	text, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, err := config.Parse(config.Input{Texts: []config.Text{{Source: "a.yml", Content: text}}, Host: testHost()})
	var problems *config.Error
	if errors.As(err, &problems) {
		for _, p := range problems.Problems {
			keys = append(keys, p.Key)
			all += p.String() + "\n"
		}
	}
	for _, w := range warnings {
		keys = append(keys, w.Key)
		all += w.String() + "\n"
	}
	return keys, all
}

// The file that has every setting is read without a word.
func TestEverySettingIsKnown(t *testing.T) {
	if keys, all := outcome(t, readFull(t)); len(keys) > 0 {
		t.Error(all)
	}
}

// Every setting, given a value of a kind that it cannot have, is named in an error or a warning, or in one about what stands around
// it: nothing is dropped in silence.
func TestEveryWrongValueIsNamed(t *testing.T) {
	full := readFull(t)
	for _, path := range paths(full, nil) {
		for _, wrong := range append(wrongFor(path), wrongScalars(full, path)...) {
			m, _ := dynamic.Patch(nil, full) // a copy
			replace(m, path, wrong)
			name := strings.Join(path, ".")
			keys, all := outcome(t, m)
			named := slices.ContainsFunc(keys, func(key string) bool {
				return key != "" && (strings.HasPrefix(key, name) || strings.HasPrefix(name, strings.SplitN(key, "[", 2)[0]))
			})
			if !named {
				t.Errorf("%s: %v goes unnoticed; said was:\n%s", name, wrong, all)
			}
		}
	}
}

// free are mappings and lists whose contents are anybody's: they are themselves replaced, not what is in them.
var free = []string{
	"bootstrap.mine.extra", "bootstrap.mine.recovery_conf", "postgresql.pgbackrest", "tags.region",
	"thread_pool_size", "thread_stack_size", "restapi.request_queue_size", "restapi.thread_pool_size", // of no effect here
	"bootstrap.dcs.postgresql.parameters.max_connections", // pgctl/postgres TestEffective
	"bootstrap.initdb", "postgresql.rewind", "postgresql.basebackup", // a mapping is a form of these
}

// paths are all settings, mappings included, but for those in a list.
func paths(m map[string]any, prefix []string) [][]string {
	var out [][]string
	for key, v := range m {
		path := append(slices.Clone(prefix), key)
		name := strings.Join(path, ".")
		if slices.Contains(free, name) {
			continue
		}
		out = append(out, path)
		if sub, ok := v.(map[string]any); ok {
			out = append(out, paths(sub, path)...)
		}
	}
	return out
}

// wrongFor are values that a setting cannot have.
func wrongFor(path []string) []any {
	key := path[len(path)-1]
	if key == "slots" || key == "static_fields" || key == "loggers" || strings.HasSuffix(key, "headers") || key == "callbacks" ||
		key == "bin_name" || strings.HasPrefix(key, "parameters") || strings.HasSuffix(key, "recovery_conf") || key == "pgbackrest" {
		return []any{"text", []any{"a"}}
	}
	return []any{map[string]any{"some": map[string]any{"thing": "odd"}}, []any{[]any{"a", "b"}}}
}

// wrongScalars are texts in the place of a number or a boolean.
func wrongScalars(full map[string]any, path []string) []any {
	var v any = full
	for _, key := range path {
		v = v.(map[string]any)[key]
	}
	switch v.(type) {
	case int, bool, float64:
		return []any{"banana", "5 bananas"}
	}
	return nil
}

func replace(m map[string]any, path []string, v any) {
	for _, key := range path[:len(path)-1] {
		sub, ok := m[key].(map[string]any)
		if !ok {
			panic(fmt.Sprintf("%v is no mapping", path))
		}
		m = sub
	}
	m[path[len(path)-1]] = v
}
