package logging

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// direct writes at once.
type direct struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (d *direct) line(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.w.Write(b)
}

const (
	defaultQueue = 1000
	closeTimeout = 2 * time.Second
)

// queue hands lines to a goroutine that writes them.
type queue struct {
	std  io.Writer
	wake chan struct{} // something has changed; of capacity one
	done chan struct{} // closed when run ends

	mu     sync.Mutex // guards what follows
	lines  [][]byte
	taken  int // lines that run has taken and may still be writing
	most   int
	lost   int
	next   *file // to go on with; meaningful if moved
	moved  bool
	closed bool
}

func newQueue(std io.Writer) *queue {
	return &queue{std: std, wake: make(chan struct{}, 1), done: make(chan struct{}), most: defaultQueue}
}

// line takes a line, or drops it when too many wait.
func (q *queue) line(b []byte) {
	q.mu.Lock()
	if len(q.lines) >= q.most {
		q.lost++
	} else {
		q.lines = append(q.lines, b)
	}
	q.mu.Unlock()
	q.poke()
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// redirect makes the lines from now on go to f; nil: to the standard error.
func (q *queue) redirect(f *file, most int) {
	if most <= 0 {
		most = defaultQueue
	}
	q.mu.Lock()
	old := q.next
	if !q.moved {
		old = nil // it is in use
	}
	q.next, q.moved, q.most = f, true, most
	q.mu.Unlock()
	if old != nil { // another redirection came before the first was noticed
		_ = old.Close()
	}
	q.poke()
}

func (q *queue) stats() (waiting, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) + q.taken, q.lost
}

func (q *queue) close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.poke()
	select {
	case <-q.done:
		return nil
	case <-time.After(closeTimeout):
		return ErrStuck
	}
}

// run writes what comes in until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.done)
	var f *file
	defer func() { _ = f.Close() }()
	for range q.wake {
		for {
			lines, lost, next, moved, closed := q.take()
			if moved {
				_ = f.Close()
				f = next
			}
			for _, b := range lines {
				q.write(f, b)
			}
			if lost > 0 {
				q.write(f, lostLine(lost))
			}
			if len(lines) > 0 {
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

// take is all that has come in. What was lost is told once.
func (q *queue) take() (lines [][]byte, lost int, next *file, moved, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, lost, next, moved, closed = q.lines, q.lost, q.next, q.moved, q.closed
	q.lines, q.taken, q.lost, q.moved = nil, len(lines), 0, false
	return lines, lost, next, moved, closed
}

// write falls back to the standard error: a full disk must not silence the log.
func (q *queue) write(f *file, b []byte) {
	if f != nil {
		if _, err := f.Write(b); err == nil {
			return
		}
	}
	_, _ = q.std.Write(b)
}

// lostLine is the line about lines that are missing, in the plain layout whatever the others' is: it is an alarm.
func lostLine(n int) []byte {
	c, err := newConf(Options{})
	if err != nil {
		return nil
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, fmt.Sprintf("%d log records were lost: they came faster than they could be written", n), 0)
	return c.render(&record{Record: r})
}
