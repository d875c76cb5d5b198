package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"quorate/internal/boottime"
)

const (
	pace        = 10 * time.Millisecond // from one commit to the next
	retryPause  = 20 * time.Millisecond // after a failed attempt to connect
	commitLimit = 15 * time.Second      // for one commit, and for one attempt to connect
	makeTable   = `create table if not exists demo_writes (id bigint primary key, at timestamptz default now())`
	insertRow   = `insert into demo_writes (id) values ($1)`
	readRows    = `select id from demo_writes`
)

// writer is the application: it commits rows through a router, one after the other, and connects again when its session ends. It repeats nothing:
// a row whose commit was not acknowledged is left, and the next one is another.
type writer struct {
	route func() *host       // whose router to connect to
	dsn   func(*host) string // the connection string
	meter *meter

	mu   sync.Mutex // guards what follows
	via  *host      // nil: not connected
	conn *pgx.Conn
	move *host // leave this one
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	for id := int64(1); ctx.Err() == nil; id++ {
		begun := time.Now()
		conn := w.session(ctx)
		if conn == nil {
			sleep(ctx, retryPause)
			continue
		}
		if err := w.commit(ctx, conn, id); err != nil {
			w.drop()
			continue
		}
		w.meter.acknowledge(id, boottime.Now())
		sleep(ctx, pace-time.Since(begun))
	}
	w.drop()
}

func (w *writer) commit(ctx context.Context, conn *pgx.Conn, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, commitLimit)
	defer cancel()
	_, err := conn.Exec(ctx, insertRow, id)
	return err
}

// session is the one there is, or a new one; nil if there is none to be had now.
func (w *writer) session(ctx context.Context) *pgx.Conn {
	w.mu.Lock()
	conn, leave := w.conn, w.via != nil && w.via == w.move
	w.move = nil
	w.mu.Unlock()
	if conn != nil && !leave {
		return conn
	}
	w.drop()
	to := w.route()
	ctx, cancel := context.WithTimeout(ctx, commitLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.dsn(to))
	if err != nil {
		return nil
	}
	if _, err := conn.Exec(ctx, makeTable); err != nil {
		closeNow(conn)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.via = conn, to
	return conn
}

func (w *writer) drop() {
	w.mu.Lock()
	conn := w.conn
	w.conn, w.via = nil, nil
	w.mu.Unlock()
	if conn != nil {
		closeNow(conn)
	}
}

// closeNow does not wait for a server that may be gone.
func closeNow(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = conn.Close(ctx)
}

// through is the host whose router the session goes through; nil without a session.
func (w *writer) through() *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.via
}

// avoid has the writer leave a host's router, and waits a moment for that: an application has its router near itself, and not on the host that is lost.
func (w *writer) avoid(ctx context.Context, h *host) {
	w.mu.Lock()
	w.move = h
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for w.through() == h && ctx.Err() == nil {
		sleep(ctx, pace)
	}
}

// lost reads the table and counts the acknowledged rows that are not in it.
func (w *writer) lost(ctx context.Context, acked []int64) (int, error) {
	conn, err := pgx.Connect(ctx, w.dsn(w.route()))
	if err != nil {
		return 0, fmt.Errorf("look for the acknowledged rows: %w", err)
	}
	defer closeNow(conn)
	rows, err := conn.Query(ctx, readRows)
	if err != nil {
		return 0, fmt.Errorf("look for the acknowledged rows: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("look for the acknowledged rows: %w", err)
	}
	there := make(map[int64]bool, len(ids))
	for _, id := range ids {
		there[id] = true
	}
	lost := 0
	for _, id := range acked {
		if !there[id] {
			lost++
		}
	}
	return lost, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
