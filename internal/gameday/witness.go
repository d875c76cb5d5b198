package gameday

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The pace of the witness: it commits so often, and gives an attempt up after so long, so that a connection that has died in silence is no part of
// the outage.
const (
	commitEvery    = 10 * time.Millisecond
	attemptTimeout = 2 * time.Second
	// showTimeout is how long a crash may take to show.
	showTimeout = 10 * time.Second
)

// witness is a client that commits one row after the other in a table of its own, and remembers which were acknowledged.
type witness struct {
	conf  *pgconn.Config
	table string
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex // guards what follows
	acked   []int64
	last    time.Time     // the newest acknowledgement
	longest time.Duration // between two of them since begin
	failed  int           // attempts that failed since begin
	err     error         // of the last attempt
}

// newWitness makes the table and begins. dsn is libpq's; it names every member, and read-write.
func newWitness(ctx context.Context, dsn, password string, now time.Time) (*witness, error) {
	conf, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	if password != "" {
		conf.Password = password
	}
	conf.ConnectTimeout = attemptTimeout
	w := &witness{conf: conf, table: fmt.Sprintf("public.quorate_game_day_%d", now.UnixNano()), done: make(chan struct{})}
	if err := w.exec(ctx, "CREATE TABLE "+w.table+" (n bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())"); err != nil {
		return nil, fmt.Errorf("a client of the cluster: %w", err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop, w.last = stop, time.Now()
	go w.run(life)
	return w, nil
}

// close ends the client and removes its table.
func (w *witness) close(ctx context.Context) error {
	w.stop()
	<-w.done
	return w.exec(ctx, "DROP TABLE "+w.table)
}

func (w *witness) exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := pgconn.ConnectConfig(ctx, w.conf)
	if err != nil {
		return err
	}
	return errors.Join(c.Exec(ctx, sql).Close(), c.Close(ctx))
}

func (w *witness) run(ctx context.Context) {
	defer close(w.done)
	var c *pgconn.PgConn
	drop := func() {
		if c != nil {
			done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
			_ = c.Close(done)
			cancel()
			c = nil
		}
	}
	defer drop()
	pace := time.NewTicker(commitEvery)
	defer pace.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		err := w.attempt(ctx, &c, n)
		if err != nil {
			drop()
		}
		w.note(n, err)
	}
}

func (w *witness) attempt(ctx context.Context, c **pgconn.PgConn, n int64) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if *c == nil {
		if *c, err = pgconn.ConnectConfig(ctx, w.conf); err != nil {
			return err
		}
	}
	return (*c).Exec(ctx, "INSERT INTO "+w.table+" VALUES ("+strconv.FormatInt(n, 10)+")").Close()
}

func (w *witness) note(n int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err != nil {
		w.failed++
		return
	}
	now := time.Now()
	w.longest = max(w.longest, now.Sub(w.last))
	w.last = now
	w.acked = append(w.acked, n)
}

// begin starts the measurement of a fault.
func (w *witness) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest, w.failed = 0, 0
}

// struck waits until an attempt has failed since begin: a fault may need a moment until anybody sees it.
func (w *witness) struck(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	for {
		w.mu.Lock()
		seen := w.failed > 0
		w.mu.Unlock()
		if seen {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no commit failed within %s: the fault did not show", showTimeout)
		case <-time.After(commitEvery):
		}
	}
}

// outage is the longest time without an acknowledgement since begin; one that goes on counts as far as it has come.
func (w *witness) outage() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.longest, time.Since(w.last))
}

// acknowledges says whether the last attempt was, and how many were in all.
func (w *witness) acknowledges() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked), w.err
}

// missing counts the acknowledged rows that the primary does not have.
func (w *witness) missing(ctx context.Context) (int, error) {
	w.mu.Lock()
	acked := w.acked[:len(w.acked):len(w.acked)]
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := pgconn.ConnectConfig(ctx, w.conf)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close(ctx) }()
	res, err := c.Exec(ctx, "SELECT n FROM "+w.table).ReadAll()
	if err != nil {
		return 0, err
	}
	have := map[string]bool{}
	for _, row := range res[0].Rows {
		have[string(row[0])] = true
	}
	lost := 0
	for _, n := range acked {
		if !have[strconv.FormatInt(n, 10)] {
			lost++
		}
	}
	return lost, nil
}
