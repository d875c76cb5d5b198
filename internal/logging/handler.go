package logging

import (
	"context"
	"log/slog"
	"slices"
)

// handler is slog's side of a log.
type handler struct {
	core  *core
	name  string      // component, or component.part: the logger's name in Python's sense
	attrs []slog.Attr // with their groups in front of their names
	group string      // with a point behind
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.core.conf.Load().levels.of(h.name)
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	rec := record{Record: r, name: h.name}
	r.Attrs(func(a slog.Attr) bool {
		rec.attrs = flatten(rec.attrs, h.group, a)
		return true
	})
	rec.attrs = append(rec.attrs, h.attrs...)
	h.core.out.line(h.core.conf.Load().render(&rec))
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		switch a.Key {
		case "component":
			c.name = a.Value.String()
		case "part":
			c.name += "." + a.Value.String()
		}
		c.attrs = flatten(c.attrs, h.group, a)
	}
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

// flatten resolves an attribute and spreads groups out.
func flatten(out []slog.Attr, group string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, x := range v.Group() {
			out = flatten(out, group, x)
		}
		return out
	}
	if a.Key == "" {
		return out
	}
	return append(out, slog.Attr{Key: group + a.Key, Value: v})
}
