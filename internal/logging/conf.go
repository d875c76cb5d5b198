package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/internal/config/logline"
)

// conf is what the options mean.
type conf struct {
	levels     levels
	dateFormat string
	format     logline.Format
	fields     []jsonField // nil: plain
	static     []jsonField
	etcd       bool
}

// jsonField is a field and the name that it is shown under; of a static field, its value.
type jsonField struct{ field, shown string }

func newConf(o Options) (*conf, error) {
	if o.Format == "" {
		o.Format = logline.DefaultFormat
	}
	f, err := logline.Parse(o.Format)
	if err != nil {
		return nil, fmt.Errorf("log.format: %w", err)
	}
	c := &conf{levels: newLevels(o), dateFormat: o.DateFormat, format: f, etcd: o.Etcd}
	if !o.JSON {
		return c, nil
	}
	if len(o.Fields) == 0 {
		o.Fields = f.Names()
	}
	c.fields = []jsonField{}
	for _, text := range o.Fields {
		field, shown, renamed := strings.Cut(text, "=")
		if !renamed {
			shown = field
		}
		c.fields = append(c.fields, jsonField{field, shown})
	}
	for _, name := range slices.Sorted(maps.Keys(o.StaticFields)) {
		c.static = append(c.static, jsonField{o.StaticFields[name], name})
	}
	return c, nil
}

// render is a record as a line, with its end.
func (c *conf) render(r *record) []byte {
	if c.etcd {
		return renderEtcd(r)
	}
	if c.fields != nil {
		return c.renderJSON(r)
	}
	b := c.format.Append(make([]byte, 0, 256), func(field string) any {
		if field == "message" {
			return r.withAttrs()
		}
		return r.field(field, c.dateFormat)
	})
	return append(b, '\n')
}

// renderJSON writes the fields of the format, the static ones, and then the attributes whose names are still free.
func (c *conf) renderJSON(r *record) []byte {
	o := object{b: append(make([]byte, 0, 256), '{')}
	for _, f := range c.fields {
		if logline.IsField(f.field) {
			o.add(f.shown, r.field(f.field, c.dateFormat))
			continue
		}
		for _, a := range r.attrs { // an attribute that is there on some lines only
			if a.Key == f.field {
				o.add(f.shown, attrValue(a.Value))
			}
		}
	}
	for _, f := range c.static {
		o.add(f.shown, f.field)
	}
	for _, a := range r.attrs {
		if !c.named(a.Key) {
			o.add(a.Key, attrValue(a.Value))
		}
	}
	return append(o.b, '}', '\n')
}

// etcdTime is the layout of etcd's times (client/pkg/logutil).
const etcdTime = "2006-01-02T15:04:05.000000Z0700"

// renderEtcd writes a line as etcd's logger does.
func renderEtcd(r *record) []byte {
	level := strings.ToLower(levelName(r.Level))
	switch level {
	case "warning":
		level = "warn"
	case "critical":
		level = "fatal"
	}
	o := object{b: append(make([]byte, 0, 256), '{'), tight: true}
	o.add("level", level)
	o.add("ts", r.Time.Format(etcdTime))
	o.add("caller", r.caller())
	o.add("msg", r.Message)
	for _, a := range r.attrs {
		name := a.Key
		switch name {
		case "level", "ts", "caller", "msg":
			name += "_"
		}
		o.add(name, attrValue(a.Value))
	}
	return append(o.b, '}', '\n')
}

func (c *conf) named(key string) bool {
	return slices.ContainsFunc(c.fields, func(f jsonField) bool { return f.field == key || f.shown == key }) ||
		slices.ContainsFunc(c.static, func(f jsonField) bool { return f.shown == key })
}

// object is a JSON object in the making; its members stay in order.
type object struct {
	b     []byte
	tight bool // no blanks between the parts
}

func (o *object) add(name string, v any) {
	comma, colon := ", ", ": "
	if o.tight {
		comma, colon = ",", ":"
	}
	if len(o.b) > 1 {
		o.b = append(o.b, comma...)
	}
	o.b = append(append(append(o.b, encode(name)...), colon...), encode(v)...)
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return encode(fmt.Sprint(v))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// attrValue is an attribute's value as JSON has it: errors, durations and whatever can say itself are text.
func attrValue(v slog.Value) any {
	switch v.Kind() {
	case slog.KindDuration:
		return v.Duration().String()
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	}
	switch x := v.Any().(type) {
	case error:
		return x.Error()
	case fmt.Stringer:
		return x.String()
	default:
		return x
	}
}
