package ctl

import (
	"fmt"
	"strconv"
	"strings"

	"quorate/internal/config/dynamic"
)

// Format is a form of output.
type Format string

// The formats of tables.
const (
	Pretty   Format = "pretty"
	TSV      Format = "tsv"
	JSON     Format = "json"
	YAML     Format = "yaml"
	Topology Format = "topology" // pretty, with the members as a tree
)

// ParseFormat reads the option --format.
func ParseFormat(s string) (Format, error) {
	switch s {
	case "pretty", "tsv", "json", "yaml":
		return Format(s), nil
	case "yml":
		return YAML, nil
	}
	return "", fmt.Errorf("unknown format %q: expected pretty, tsv, json, yaml or yml", s)
}

// Bytes is a size. People are shown it with a unit, programs as a number of bytes.
type Bytes int64

func (n Bytes) String() string { return dynamic.SizeText(int64(n)) }

// Sheet is what a command shows: rows under columns. Cells are text, whole numbers, [Bytes], and tags as mappings.
type Sheet struct {
	Title   string // of a pretty table
	Columns []string
	Right   []string // columns aligned to the right when pretty
	Rows    [][]any
	// SkipEmpty leaves empty cells out of JSON and YAML.
	SkipEmpty bool
	// Delimiter stands between the cells of TSV; a tab unless set.
	Delimiter string
}

// Render is the sheet in a format.
func (s Sheet) Render(f Format) string {
	switch f {
	case JSON:
		return pyJSON(s.objects()) + "\n"
	case YAML:
		return FormatYAML(s.maps(), false) + "\n"
	case TSV:
		return s.tsv()
	case Pretty, Topology:
		return s.pretty(f)
	}
	return s.pretty(Pretty)
}

func (s Sheet) pretty(f Format) string {
	t := table{title: s.Title, columns: s.Columns, right: map[string]bool{}}
	for _, c := range s.Right {
		t.right[c] = true
	}
	for _, row := range s.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v, f != Pretty)
		}
		t.rows = append(t.rows, cells)
	}
	return t.String()
}

// cell is a value as text: tags in a block of lines when there is room, else in one line.
func cell(v any, flow bool) string {
	switch x := v.(type) {
	case nil:
		return "None" // A null of SQL, as Python shows it; so are the booleans.
	case bool:
		if x {
			return "True"
		}
		return "False"
	case string:
		return x
	case Bytes:
		if flow {
			return strconv.FormatInt(int64(x), 10)
		}
		return x.String()
	case map[string]any:
		if len(x) == 0 {
			return ""
		}
		return strings.TrimSpace(FormatYAML(x, flow))
	}
	return fmt.Sprint(v)
}

func (s Sheet) tsv() string {
	delimiter := s.Delimiter
	if delimiter == "" {
		delimiter = "\t"
	}
	var b strings.Builder
	if len(s.Columns) > 0 {
		b.WriteString(strings.Join(s.Columns, delimiter) + "\n")
	}
	for _, row := range s.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v, true)
		}
		b.WriteString(strings.Join(cells, delimiter) + "\n")
	}
	return b.String()
}

// pair is one member of a JSON object whose order matters.
type pair struct {
	key   string
	value any
}

func (s Sheet) objects() []any {
	out := make([]any, len(s.Rows))
	for i, row := range s.Rows {
		var object []pair
		for j, v := range row {
			if j < len(s.Columns) && !(s.SkipEmpty && empty(v)) {
				object = append(object, pair{s.Columns[j], v})
			}
		}
		out[i] = object
	}
	return out
}

func (s Sheet) maps() []any {
	out := s.objects()
	for i := range out {
		m := map[string]any{}
		object, _ := out[i].([]pair)
		for _, p := range object {
			m[p.key] = p.value
		}
		out[i] = m
	}
	return out
}

func empty(v any) bool {
	m, isMap := v.(map[string]any)
	return v == nil || v == "" || isMap && len(m) == 0
}
