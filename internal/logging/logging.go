// Package logging writes log lines in Patroni's plain layout, time, level, message, with the attributes behind it, or as JSON.
//
//	2026-11-23 07:08:01,123 INFO: promoted self to leader by acquiring session lock component=agent
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// Options say how lines look.
type Options struct {
	Level string // DEBUG, INFO, WARNING, ERROR, CRITICAL, as Python's logging has them
	JSON  bool
}

// New makes a logger that writes to w. A line is written whole or not at all.
func New(w io.Writer, o Options) *slog.Logger {
	level := ParseLevel(o.Level)
	if o.JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(&plain{w: w, mu: &sync.Mutex{}, level: level})
}

// ParseLevel reads Python's name of a level; what it does not know is INFO.
func ParseLevel(s string) slog.Level {
	switch strings.ToUpper(s) {
	case "DEBUG", "NOTSET":
		return slog.LevelDebug
	case "WARNING", "WARN":
		return slog.LevelWarn
	case "ERROR", "CRITICAL", "FATAL":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// plain is the handler of the plain layout.
type plain struct {
	w     io.Writer
	mu    *sync.Mutex // guards w; shared by all that come from one New
	level slog.Level
	attrs string // rendered, each with a blank in front
	group string
}

func (h *plain) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *plain) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.Format("2006-01-02 15:04:05,000"))
	b.WriteByte(' ')
	b.WriteString(levelName(r.Level))
	b.WriteString(": ")
	b.WriteString(oneLine(r.Message))
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	b.WriteString(h.attrs)
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, b.String())
	return err
}

func (h *plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		appendAttr(&b, h.group, a)
	}
	c := *h
	c.attrs = b.String()
	return &c
}

func (h *plain) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, x := range v.Group() {
			appendAttr(b, group+a.Key+".", x)
		}
		return
	}
	if a.Key == "" {
		return
	}
	b.WriteByte(' ')
	b.WriteString(group + a.Key)
	b.WriteByte('=')
	text := v.String()
	if v.Kind() == slog.KindAny {
		text = fmt.Sprint(v.Any())
	}
	if text == "" || strings.ContainsAny(text, " \"=\n\t") {
		text = strconv.Quote(text)
	}
	b.WriteString(text)
}

func oneLine(s string) string {
	if strings.ContainsAny(s, "\n\r") {
		return strconv.Quote(s)
	}
	return s
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}
