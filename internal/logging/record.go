package logging

import (
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"quorate/internal/config/logline"
)

// record is one line before it has a form.
type record struct {
	slog.Record
	name  string
	attrs []slog.Attr
}

// began is when this process did, for relativeCreated.
var began = time.Now()

// field is an attribute of Python's LogRecord. There are no threads to tell: a goroutine has no name.
func (r *record) field(name, dateFormat string) any {
	switch name {
	case "asctime":
		return string(logline.AppendTime(nil, r.Time, dateFormat))
	case "levelname":
		return levelName(r.Level)
	case "levelno":
		return levelNumber(r.Level)
	case "message":
		return r.Message
	case "name":
		if r.name == "" {
			return "quorate"
		}
		return r.name
	case "created":
		return float64(r.Time.UnixMicro()) / 1e6
	case "msecs":
		return float64(r.Time.Nanosecond()/1000) / 1e3
	case "relativeCreated":
		return float64(r.Time.Sub(began).Microseconds()) / 1e3
	case "process":
		return os.Getpid()
	case "processName":
		return filepath.Base(os.Args[0])
	case "thread":
		return os.Getpid()
	case "threadName", "taskName":
		return "MainThread"
	}
	return r.place(name)
}

// place tells of the line of code that wrote the record.
func (r *record) place(field string) any {
	frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
	file := path.Base(frame.File)
	switch field {
	case "pathname":
		return frame.File
	case "filename":
		return file
	case "module":
		return strings.TrimSuffix(file, ".go")
	case "lineno":
		return frame.Line
	case "funcName":
		return frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
	}
	return ""
}

// caller is the place in the code as etcd writes it: folder/file.go:line.
func (r *record) caller() string {
	frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
	if frame.File == "" {
		return "undefined"
	}
	dir, file := path.Split(frame.File)
	return path.Base(dir) + "/" + file + ":" + strconv.Itoa(frame.Line)
}

// withAttrs is the message of a plain line: in one line, with the attributes behind it.
func (r *record) withAttrs() string {
	if len(r.attrs) == 0 {
		return oneLine(r.Message)
	}
	b := []byte(oneLine(r.Message))
	for _, a := range r.attrs {
		text := attrText(a.Value)
		if text == "" || strings.ContainsAny(text, " \"=\n\t") {
			text = strconv.Quote(text)
		}
		b = append(append(append(append(b, ' '), a.Key...), '='), text...)
	}
	return string(b)
}

func attrText(v slog.Value) string {
	if v.Kind() == slog.KindAny {
		if list, ok := v.Any().([]string); ok {
			return strings.Join(list, ", ")
		}
		return fmt.Sprint(v.Any())
	}
	return v.String()
}

func oneLine(s string) string {
	if strings.ContainsAny(s, "\n\r") {
		return strconv.Quote(s)
	}
	return s
}
