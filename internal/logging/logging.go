// Package logging writes log lines in Patroni's plain layout, time, level, message, with the attributes behind the message, or as JSON.
//
//	2026-11-23 07:08:01,123 INFO: promoted self to leader by acquiring session lock component=agent
//
// A [Log] writes from a queue: a disk or a pipe that hangs stops the log, and never who writes into it.
package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// Options say how lines look and where they go.
type Options struct {
	Level   string            // DEBUG, INFO, WARNING, ERROR, CRITICAL, as Python's logging has them; empty: INFO
	Loggers map[string]string // levels of parts, by component or component.part; Patroni's modules are understood

	// Etcd writes the lines that etcd does: JSON with level, ts, caller and msg, then the attributes. The other options of form do not count.
	Etcd         bool
	JSON         bool
	Format       string            // logline's notation; of JSON lines it names the fields; empty: Patroni's
	Fields       []string          // of JSON lines, in place of Format; shown under another name as field=shown
	DateFormat   string            // strftime's notation; empty: ISO 8601 with milliseconds
	StaticFields map[string]string // of JSON lines

	// MaxQueue is how many lines may wait to be written before more are dropped and counted; 0: 1000.
	MaxQueue int
	// File is what the log is written to; empty: the writer that Open was given.
	File string
	Rotation
}

// New makes a logger that writes to w at once. A line is written whole or not at all.
func New(w io.Writer, o Options) (*slog.Logger, error) {
	c, err := newConf(o)
	if err != nil {
		return nil, err
	}
	k := &core{out: &direct{w: w}}
	k.conf.Store(c)
	return slog.New(&handler{core: k}), nil
}

// Plain is New with Patroni's layout and nothing else.
func Plain(w io.Writer) *slog.Logger {
	l, err := New(w, Options{})
	if err != nil {
		panic(fmt.Sprintf("logging: the default format is refused: %v", err))
	}
	return l
}

// Log is the log of a process, whose options can change while it is written.
type Log struct {
	core  *core
	queue *queue
	std   io.Writer
}

// Open begins a log. std, the standard error, takes the lines while there is no file, or while it cannot be written.
func Open(std io.Writer, o Options) (*Log, error) {
	l := &Log{core: &core{}, queue: newQueue(std), std: std}
	l.core.out = l.queue
	if err := l.Reload(o); err != nil {
		return nil, err
	}
	go l.queue.run()
	return l, nil
}

// Logger writes into the log.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{core: l.core}) }

// Reload takes other options, or none of them when there is an error. A log file is opened again, so that one that logrotate has moved away
// is let go.
func (l *Log) Reload(o Options) error {
	c, err := newConf(o)
	if err != nil {
		return err
	}
	var f *file
	if o.File != "" {
		if f, err = openFile(o.File, o.Rotation); err != nil {
			return err
		}
	}
	l.core.conf.Store(c)
	l.queue.redirect(f, o.MaxQueue)
	return nil
}

// Stats are how many lines wait to be written, and how many have been dropped since that was last told in the log.
func (l *Log) Stats() (waiting, lost int) { return l.queue.stats() }

// Close writes what waits, for as long as the device takes it.
func (l *Log) Close() error { return l.queue.close() }

// ErrStuck is returned when lines could not be written in time.
var ErrStuck = errors.New("the log cannot be written: its device does not answer")

// core is shared by all handlers of one log.
type core struct {
	conf atomic.Pointer[conf]
	out  interface{ line(b []byte) }
}
