package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"quorate/internal/config/dynamic"
	"quorate/internal/config/logline"
)

var levels = []string{"info", "debug", "warning", "error", "critical", "warn", "fatal", "notset"}

// log reads how the agent writes its log.
func (p *parser) log(top *section) {
	s := top.sub("log")
	l := &p.c.Log
	l.Type = s.oneOf("type", "plain", "json")
	l.Level = level(s.oneOf("level", levels...))
	l.TracebackLevel = level(s.oneOf("traceback_level", append([]string{"error"}, levels...)...))
	p.logFormat(s, l)
	l.DateFormat = s.text("dateformat")
	l.StaticFields = s.dict("static_fields")
	l.MaxQueueSize = s.atLeast("max_queue_size", 1000, 1)
	l.Dir = s.text("dir")
	l.Mode = read(s, "mode", 0, permissions)
	l.FileNum = s.atLeast("file_num", 4, 0)
	l.FileSize = s.bytes("file_size", 25_000_000)
	l.Loggers = loggers(s)
	l.DeduplicateHeartbeat = s.bool("deduplicate_heartbeat_logs", false)
	s.unknown()
}

func level(word string) string {
	switch word {
	case "warn":
		return "WARNING"
	case "fatal":
		return "CRITICAL"
	case "notset":
		return "DEBUG"
	}
	return strings.ToUpper(word)
}

// logFormat is one text for a plain log; for a JSON log it may be a list whose items are fields, or one mapping from field to shown
// name each.
func (p *parser) logFormat(s *section, l *Log) {
	t := s.raw("format")
	if t == nil || t.kind == isScalar {
		l.Format = s.textOr("format", logline.DefaultFormat)
		if _, err := logline.Parse(l.Format); err != nil {
			s.bad("format", "fields of the form %(message)s: "+err.Error())
		}
		return
	}
	if l.Type != "json" || t.kind != isList {
		s.bad("format", "text (a list of fields is for type json)")
		return
	}
	for _, item := range t.items {
		switch item.kind {
		case isScalar:
			l.JSONFormat = append(l.JSONFormat, dynamic.Text(item.scalar))
		case isMap:
			for _, f := range item.fields {
				l.JSONFormat = append(l.JSONFormat, f.name+"="+dynamic.Text(f.value.plain()))
			}
		case isList:
			s.wrong(item.at, "log.format", quote(item), "a field's name")
		}
	}
}

var errMode = errors.New("permissions as an octal number, for example 0640")

// permissions reads an octal number. YAML has turned one without quotes into a number already, as 0640 is 416 there.
func permissions(v any) (uint32, error) {
	n, ok := v.(int64)
	if text, isText := v.(string); isText {
		parsed, err := strconv.ParseInt(strings.TrimPrefix(text, "0o"), 8, 64)
		n, ok = parsed, err == nil
	}
	if !ok || n < 0 || n > 0o777 {
		return 0, errMode
	}
	return uint32(n), nil
}

// loggers reads the levels of parts.
func loggers(s *section) map[string]string {
	out := s.dict("loggers")
	for name, word := range out {
		if !slices.Contains(levels, strings.ToLower(word)) {
			s.wrong(s.place("loggers"), s.name("loggers")+"."+name, dynamic.Quote(word), "one of "+strings.Join(levels, ", "))
		}
	}
	return out
}
