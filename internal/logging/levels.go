package logging

import (
	"log/slog"
	"strings"
)

// levelCritical is Python's level above ERROR.
const levelCritical = slog.LevelError + 4

// ParseLevel reads Python's name of a level; what it does not know is INFO.
func ParseLevel(s string) slog.Level {
	switch strings.ToUpper(s) {
	case "DEBUG":
		return slog.LevelDebug
	case "WARNING", "WARN":
		return slog.LevelWarn
	case "ERROR":
		return slog.LevelError
	case "CRITICAL", "FATAL":
		return levelCritical
	}
	return slog.LevelInfo
}

// levelName is a level as Python writes it, and levelNumber its number there.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	case l < levelCritical:
		return "ERROR"
	}
	return "CRITICAL"
}

func levelNumber(l slog.Level) int {
	return map[string]int{"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}[levelName(l)]
}

// patroniLoggers are Patroni's modules and the components that do their work here. The longest name that fits counts.
var patroniLoggers = map[string]string{
	"patroni": "", "quorate": "",
	"patroni.ha": "agent", "patroni.__main__": "agent",
	"patroni.postgresql": "postgres", "patroni.postmaster": "postgres",
	"patroni.dcs": "dcsclient", "patroni.api": "rest", "patroni.watchdog": "fence",
}

// component is the part of this program that a logger's name means: a name of ours stays, a module of Patroni is translated.
func component(name string) string {
	for prefix := name; ; {
		if c, ok := patroniLoggers[prefix]; ok {
			rest := strings.TrimPrefix(name, prefix)
			if c == "" { // "quorate.agent" means agent
				return strings.TrimPrefix(rest, ".")
			}
			return c
		}
		i := strings.LastIndexByte(prefix, '.')
		if i < 0 {
			return name
		}
		prefix = prefix[:i]
	}
}

// levels are the least level of the whole log and of parts of it.
type levels struct {
	all   slog.Level
	parts map[string]slog.Level
}

func newLevels(o Options) levels {
	l := levels{all: ParseLevel(o.Level), parts: map[string]slog.Level{}}
	for name, level := range o.Loggers {
		switch c := component(name); {
		case strings.EqualFold(level, "NOTSET"): // as its parent
		case c == "":
			l.all = ParseLevel(level)
		default:
			l.parts[c] = ParseLevel(level)
		}
	}
	return l
}

// of is the least level of a part: its own, else that of the part around it.
func (l levels) of(name string) slog.Level {
	if len(l.parts) == 0 {
		return l.all
	}
	for {
		if level, ok := l.parts[name]; ok {
			return level
		}
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return l.all
		}
		name = name[:i]
	}
}
