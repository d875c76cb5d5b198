package ctl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"quorate/internal/config/dynamic"
)

// said is an error in patronictl's own words, which scripts look for.
type said string

func (s said) Error() string { return string(s) }

// ParseConfig reads a shared configuration as a person edited it.
func ParseConfig(text []byte) (map[string]any, error) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("the configuration is not YAML: %w", err)
	}
	if v == nil {
		return map[string]any{}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the configuration must be settings of the form 'name: value'")
	}
	return m, nil
}

// SetPath applies one change of the form path=value. The path is dotted, except beneath postgresql.parameters, whose names have dots
// themselves; the value is YAML, and null deletes. Mappings that become empty go. config is not touched.
func SetPath(config map[string]any, change string) (map[string]any, error) {
	path, value, ok := strings.Cut(change, "=")
	path = strings.TrimSpace(path)
	if !ok || path == "" {
		return nil, said("Invalid parameter setting " + change + ": expected name=value")
	}
	var v any
	if err := yaml.Unmarshal([]byte(value), &v); err != nil {
		return nil, said(fmt.Sprintf("Invalid parameter setting %s: %v", change, err))
	}
	out, _ := dynamic.Patch(nil, config) // a copy
	set(out, split(path), v)
	return out, nil
}

// split parts a dotted path, and keeps the name of a PostgreSQL parameter whole.
func split(path string) []string {
	const parameters = "postgresql.parameters."
	if name, ok := strings.CutPrefix(path, parameters); ok {
		return []string{"postgresql", "parameters", name}
	}
	return strings.Split(path, ".")
}

func set(config map[string]any, path []string, v any) {
	key := path[0]
	if len(path) > 1 {
		sub, ok := config[key].(map[string]any)
		if !ok {
			sub = map[string]any{}
		}
		set(sub, path[1:], v)
		config[key] = sub
		if len(sub) == 0 {
			delete(config, key)
		}
		return
	}
	if v == nil {
		delete(config, key)
		return
	}
	config[key] = v
}

// Difference is the patch that makes one configuration of another: what PATCH /config takes.
func Difference(before, after map[string]any) map[string]any {
	patch := map[string]any{}
	for key := range before {
		if _, stays := after[key]; !stays {
			patch[key] = nil
		}
	}
	for key, value := range after {
		was, existed := before[key]
		sub, isMap := value.(map[string]any)
		wasSub, wasMap := was.(map[string]any)
		switch {
		case existed && isMap && wasMap:
			if d := Difference(wasSub, sub); len(d) > 0 {
				patch[key] = d
			}
		case !existed || pyJSON(was) != pyJSON(value):
			patch[key] = value
		}
	}
	return patch
}

// PostgresVersion is PostgreSQL's version number as people write it: 150006 is 15.6, 90624 is 9.6.24.
func PostgresVersion(n int) string {
	if n < 100000 {
		return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
	}
	return fmt.Sprintf("%d.%d", n/10000, n%100)
}

// CheckPostgresVersion refuses what is no version of PostgreSQL: major.minor, or three numbers before version 10. The words are Patroni's.
func CheckPostgresVersion(text string) error {
	parts := strings.Split(text, ".")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return said("Invalid PostgreSQL version: " + text)
		}
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) > 3 || len(parts) < 2 || len(parts) == 2 && major < 10 {
		return said("Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: " + text)
	}
	return nil
}
