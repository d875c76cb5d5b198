package raftstore

import (
	"context"
	"io"
	"log"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// hcLogger hands what hashicorp/raft logs to slog. Raft logs each failed heartbeat as an error; to an operator that is a
// symptom of something said elsewhere, so its errors become news, told once in a while, and its news becomes debugging.
type hcLogger struct {
	log  *slog.Logger
	name string
	args []any
	said *repeats
}

var _ hclog.Logger = (*hcLogger)(nil)

func (h *hcLogger) Log(level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Warn && h.said.due(msg, args, time.Now()) {
		to = slog.LevelInfo
	}
	h.log.Log(context.Background(), to, strings.TrimSpace(msg), args...)
}

func (h *hcLogger) Trace(msg string, args ...any) { h.Log(hclog.Trace, msg, args...) }
func (h *hcLogger) Debug(msg string, args ...any) { h.Log(hclog.Debug, msg, args...) }
func (h *hcLogger) Info(msg string, args ...any)  { h.Log(hclog.Info, msg, args...) }
func (h *hcLogger) Warn(msg string, args ...any)  { h.Log(hclog.Warn, msg, args...) }
func (h *hcLogger) Error(msg string, args ...any) { h.Log(hclog.Error, msg, args...) }

func (h *hcLogger) IsTrace() bool { return false }
func (h *hcLogger) IsDebug() bool { return h.log.Enabled(context.Background(), slog.LevelDebug) }
func (h *hcLogger) IsInfo() bool  { return h.IsDebug() }
func (h *hcLogger) IsWarn() bool  { return true }
func (h *hcLogger) IsError() bool { return true }

func (h *hcLogger) ImpliedArgs() []any { return h.args }
func (h *hcLogger) Name() string       { return h.name }

func (h *hcLogger) With(args ...any) hclog.Logger {
	return &hcLogger{log: h.log.With(args...), name: h.name, args: append(h.args[:len(h.args):len(h.args)], args...), said: h.said}
}

func (h *hcLogger) Named(name string) hclog.Logger { return h.ResetNamed(name) }
func (h *hcLogger) ResetNamed(name string) hclog.Logger {
	return &hcLogger{log: h.log, name: name, args: h.args, said: h.said}
}
func (h *hcLogger) SetLevel(hclog.Level)  {}
func (h *hcLogger) GetLevel() hclog.Level { return hclog.Debug }

func (h *hcLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)
}

func (h *hcLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return io.Discard }

// zapCore hands what etcd's packages log to slog.
type zapCore struct {
	log *slog.Logger
}

// newZap returns the logger for etcd's packages. They answer an error of the file below them with Fatal, which would end
// the whole process, and with Panic: both end the store instead (fail) and then the goroutine that logged.
func newZap(log *slog.Logger, fail func(msg string)) *zap.Logger {
	hook := failHook(fail)
	return zap.New(zapCore{log: log}, zap.WithFatalHook(hook), zap.WithPanicHook(hook))
}

type failHook func(msg string)

// OnWrite implements zapcore.CheckWriteHook.
func (f failHook) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	f(e.Message + fieldsText(fields))
	runtime.Goexit()
}

func fieldsText(fields []zapcore.Field) string {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	if cause, ok := enc.Fields["error"].(string); ok {
		return ": " + cause
	}
	return ""
}

func (c zapCore) Enabled(l zapcore.Level) bool {
	// bbolt's own debugging, several lines per transaction, is beyond even ours.
	return l >= zapcore.WarnLevel || l == zapcore.InfoLevel && c.log.Enabled(context.Background(), slog.LevelDebug)
}

func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{log: c.log.With(zapArgs(fields)...)}
}

func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	to := slog.LevelDebug
	switch {
	case e.Level >= zapcore.ErrorLevel:
		to = slog.LevelError
	case e.Level == zapcore.WarnLevel:
		to = slog.LevelWarn
	}
	c.log.Log(context.Background(), to, e.Message, zapArgs(fields)...)
	return nil
}

func (zapCore) Sync() error { return nil }

func zapArgs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	args := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		args = append(args, k, v)
	}
	return args
}
