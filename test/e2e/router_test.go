//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/lab"
)

// TestNoConnectionIsRefused lets clients that connect anew for each statement work through port 5000 over planned changes of the primary, and
// over an upgrade of the router in the middle of one. QUORATE_SWITCHOVERS is how many changes; scripts/soak-router takes a hundred.
func TestNoConnectionIsRefused(t *testing.T) {
	changes := 4
	if v := os.Getenv("QUORATE_SWITCHOVERS"); v != "" {
		var err error
		changes, err = strconv.Atoi(v)
		must(t, err)
	}
	c := newCluster(t, t, false)
	for _, h := range c.hosts {
		c.add(t, h, "proxy: {drain: 20s}")
	}
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)

	clients := c.reconnect(t, 8)
	kept := c.session(t)
	for n := range changes {
		ctx := patience(t)
		from := c.Primary(ctx)
		if from == nil {
			t.Fatal("nobody is primary")
		}
		to := c.hosts[(slices.Index(c.hosts, from)+1)%len(c.hosts)]
		upgraded := make(chan error, 1)
		if upgrade := n == changes/2; upgrade {
			must(t, ask(ctx, kept)) // a session that the old router has, on whatever primary there is now
			go func() {
				out, err := c.Run(ctx, c.client, "upgrade")
				upgraded <- errors.Join(err, saysReplaced(out))
			}()
		} else {
			upgraded <- nil
		}
		must(t, c.Switchover(ctx, from, to))
		must(t, <-upgraded, c.AwaitHealthy(ctx))
		clients.await(t, ctx, 50)
		if n != changes/2 {
			kept = c.session(t)
		}
	}
	clients.stop()
	t.Logf("%d connections over %d changes of the primary and an upgrade: %d refused, %d cut off in the login, %d later; the longest took %s",
		clients.done, changes, len(clients.refused), clients.cut, clients.late, clients.longest.Round(time.Millisecond))
	for _, err := range clients.refused {
		t.Error(err)
	}
	// The old primary waits for logins that are under way, but not for as long as one can take on a machine that is too busy.
	if clients.cut > 2*changes {
		t.Errorf("%d logins cut off by %d changes", clients.cut, changes)
	}
	t.Run("drain", c.drainsFirst)
}

// drainsFirst: with proxy.drain on the primary's host a planned change waits for a transaction that came through its router, and an idle session ends with
// PostgreSQL's own words before it.
func (c *cluster) drainsFirst(t *testing.T) {
	ctx := patience(t)
	from := c.Primary(ctx)
	to := c.hosts[(slices.Index(c.hosts, from)+1)%len(c.hosts)]
	idle, busy := c.sessionThrough(t, from), c.sessionThrough(t, from)
	_, err := busy.Exec(ctx, "CREATE TABLE drained (i int)").ReadAll()
	must(t, err, ask(ctx, idle))
	_, err = busy.Exec(ctx, "BEGIN; INSERT INTO drained VALUES (1)").ReadAll()
	must(t, err)
	switched := make(chan error, 1)
	go func() { switched <- c.Switchover(ctx, from, to) }()
	if err := idle.WaitForNotification(ctx); codeOf(err) != "57P01" {
		t.Errorf("the idle session ended with %v", err)
	}
	select {
	case err := <-switched:
		t.Fatalf("the change did not wait for the transaction: %v", err)
	default:
	}
	if _, err = busy.Exec(ctx, "INSERT INTO drained VALUES (2); COMMIT").ReadAll(); err != nil {
		t.Errorf("the transaction that was under way: %v", err)
	}
	must(t, <-switched, c.AwaitHealthy(ctx))
	if now := c.Primary(ctx); now != to {
		t.Errorf("%v leads, not %s", now, to.Name)
	}
	if got, err := query(ctx, c.client, c.Target(), "SELECT sum(i) FROM drained"); err != nil || got != "3" {
		t.Errorf("the new primary has %q, %v", got, err)
	}
}

// add appends a line to a host's configuration.
func (c *cluster) add(t *testing.T, h *lab.Host, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(h.Dir(), "quorate.yml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(line + "\n")
	must(t, err, f.Close())
}

// sessionThrough opens one through the primary port of a host's own router.
func (c *cluster) sessionThrough(t *testing.T, h *lab.Host) *pgconn.PgConn {
	t.Helper()
	conn, err := c.connectTo(patience(t), strings.Replace(c.Direct(h), "port=5432", "port=5000", 1))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func codeOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func saysReplaced(out string) error {
	if !strings.Contains(out, "has replaced process") {
		return fmt.Errorf("quorate upgrade says %q", out)
	}
	return nil
}

// session opens one through the router.
func (c *cluster) session(t *testing.T) *pgconn.PgConn {
	t.Helper()
	conn, err := c.connect(patience(t))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (c *cluster) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return c.connectTo(ctx, c.Target())
}

func (c *cluster) connectTo(ctx context.Context, target string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(target)
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = c.client.Dial
	return pgconn.ConnectConfig(ctx, cfg)
}

func ask(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := conn.Exec(ctx, "SELECT 1").ReadAll()
	return err
}

// reconnecting are clients that connect, ask and close, over and over.
type reconnecting struct {
	end context.CancelFunc
	wg  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	done    int
	refused []error
	cut     int // ended in the login, without a word or by the administrator's command of the old primary's shutdown
	late    int // ended after the login, likewise
	longest time.Duration
}

func (c *cluster) reconnect(t *testing.T, n int) *reconnecting {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	r := &reconnecting{end: end}
	t.Cleanup(r.stop)
	for range n {
		r.wg.Go(func() {
			for ctx.Err() == nil {
				r.once(c)
			}
		})
	}
	return r
}

func (r *reconnecting) stop() { r.end(); r.wg.Wait() }

// once connects and asks. The end of the clients does not break it off: what is under way must end well too.
func (r *reconnecting) once(c *cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	began := time.Now()
	conn, err := c.connect(ctx)
	r.mu.Lock()
	r.longest = max(r.longest, time.Since(began))
	if err != nil {
		if wasCut(err) {
			r.cut++
		} else if len(r.refused) < 1000 { // a door that refuses all must not fill the memory with errors
			r.refused = append(r.refused, err)
		}
	}
	r.mu.Unlock()
	if err != nil {
		return
	}
	err = ask(ctx, conn)
	_ = conn.Close(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if err != nil {
		r.late++
	}
}

// wasCut says whether a connection was accepted and then ended by the shutdown of the server behind it, in place of being refused.
func wasCut(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "57P01"
	}
	text := err.Error()
	return strings.Contains(text, "unexpected EOF") || strings.Contains(text, "failed to receive message") ||
		strings.Contains(text, "SASL auth") && strings.Contains(text, "connection reset by peer")
}

// await waits for more connections that work.
func (r *reconnecting) await(t *testing.T, ctx context.Context, more int) {
	t.Helper()
	r.mu.Lock()
	want := r.done + more
	r.mu.Unlock()
	eventually(t, ctx, "clients connect", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.done < want {
			return fmt.Errorf("%d connections, want %d", r.done, want)
		}
		return nil
	})
}
