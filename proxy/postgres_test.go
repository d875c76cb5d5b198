package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const pgBin = "/usr/lib/postgresql/15/bin"

// postgres is a real server on a UNIX socket of its own and no TCP port.
type postgres struct {
	t    *testing.T
	dir  string
	cred *syscall.SysProcAttr
	cmd  *exec.Cmd
	done chan struct{}
}

// newPostgres starts a server, as the user postgres when this is root.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
	if _, err := os.Stat(pgBin); err != nil {
		t.Skipf("no PostgreSQL 15: %v", err)
	}
	dir, err := os.MkdirTemp("", "qp") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &postgres{t: t, dir: dir, cred: &syscall.SysProcAttr{Setpgid: true}}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skipf("PostgreSQL refuses to run as root: %v", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.cred.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	p.run("initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "--no-sync")
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(pgBin, name), args...)
	c.SysProcAttr, c.Dir = p.cred, p.dir
	return c
}

func (p *postgres) run(name string, args ...string) string {
	p.t.Helper()
	out, err := p.command(name, args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func (p *postgres) start() {
	p.t.Helper()
	p.cmd = p.command("postgres", "-D", filepath.Join(p.dir, "data"), "-c", "listen_addresses=", "-k", p.dir, "-c", "fsync=off", "-c", "max_connections=40")
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(p.done) }()
}

// stop is PostgreSQL's fast shutdown.
func (p *postgres) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	<-p.done
}

func (p *postgres) backend(name string, role Role) Backend {
	return Backend{Name: name, Addr: filepath.Join(p.dir, ".s.PGSQL.5432"), Role: role, Running: true}
}

func connect(t *testing.T, r *Router, extra string) (*pgconn.PgConn, error) {
	t.Helper()
	host, port, _ := strings.Cut(r.Addr("primary").String(), ":")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres %s", host, port, extra))
}

func TestPostgreSQL(t *testing.T) {
	pg := newPostgres(t)
	r := newRouter(t, nil)
	r.Publish(tableOf(1, pg.backend("a", RolePrimary)))

	t.Run("query and cancel", func(t *testing.T) {
		// The server may still be starting up: the router waits for it as it does for a primary, table by table.
		stop := republish(r, pg)
		c, err := connect(t, r, "sslmode=prefer")
		stop()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if s := r.Sessions(); len(s) != 1 || s[0].User != "postgres" || s[0].Encrypted {
			t.Fatalf("sessions: %+v", s)
		}
		failed := make(chan error, 1)
		go func() { _, err := c.Exec(context.Background(), "select pg_sleep(60)").ReadAll(); failed <- err }()
		other, err := connect(t, r, "sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close(context.Background())
		for {
			res, err := other.Exec(t.Context(), "select count(*) from pg_stat_activity where query like 'select pg_sleep%'").ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if string(res[0].Rows[0][0]) == "1" {
				break
			}
		}
		if err := c.CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !isState(err, "57014") {
			t.Fatalf("the query ended with %v, want query_canceled", err)
		}
	})

	t.Run("pgbench over terms", func(t *testing.T) {
		host, port, _ := strings.Cut(r.Addr("primary").String(), ":")
		env := []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=postgres", "PGDATABASE=postgres", "PGSSLMODE=disable"}
		script := filepath.Join(pg.dir, "one.sql")
		if err := os.WriteFile(script, []byte("select 1;\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		bench := exec.Command("pgbench", "-n", "-C", "-c", "4", "-t", "50", "-f", script)
		bench.Env = append(os.Environ(), env...)
		out, err := bench.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "200/200") {
			t.Fatalf("pgbench: %v\n%s", err, out)
		}
	})

	t.Run("a new term ends sessions in words", func(t *testing.T) {
		c, err := connect(t, r, "sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		r.Publish(tableOf(2, pg.backend("a", RolePrimary)))
		eventually(t, "the old term's sessions gone", func() bool { return len(r.Sessions()) == 0 })
		if _, err := c.Exec(t.Context(), "select 1").ReadAll(); !isState(err, stateAdminShutdown) && !lost(err) {
			t.Fatalf("the session ended with %v, want admin_shutdown", err)
		}
	})

	t.Run("switchovers refuse nobody", func(t *testing.T) {
		const switchovers, clients = 20, 4
		stop := make(chan struct{})
		errs := make(chan error, clients)
		for range clients {
			go func() { errs <- reconnect(t, r, stop) }()
		}
		for rev := range int64(switchovers) {
			r.Publish(tableOf(0, pg.backend("a", RoleReplica)))
			if rev%5 == 0 { // now and then the server really goes away
				pg.stop()
				pg.start()
			}
			r.Publish(tableOf(10+rev, pg.backend("a", RolePrimary)))
			resume := republishTerm(r, pg, 10+rev)
			eventually(t, "sessions on the new primary", func() bool { return r.Status().Listeners[0].Held == 0 })
			resume()
		}
		close(stop)
		for range clients {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// reconnect opens sessions until stop; only a session that was open may end.
func reconnect(t *testing.T, r *Router, stop chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		c, err := connect(t, r, "sslmode=prefer")
		if err != nil && !isState(err, stateAdminShutdown) && !lost(err) {
			return fmt.Errorf("connect: %w", err)
		}
		if err == nil {
			_, _ = c.Exec(t.Context(), "select 1").ReadAll()
			_ = c.Close(context.Background())
		}
	}
}

// republish repeats the table as a node does at every renewal of the lease.
func republish(r *Router, pg *postgres) (stop func()) { return republishTerm(r, pg, 1) }

func republishTerm(r *Router, pg *postgres, rev int64) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(10 * time.Millisecond):
				r.Publish(tableOf(rev, pg.backend("a", RolePrimary)))
			}
		}
	}()
	return func() { close(quit); <-done }
}

func isState(err error, state string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == state
}

// lost says whether a session that was open ended without words, which it may when a statement crossed its end.
func lost(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || strings.Contains(fmt.Sprint(err), "unexpected EOF")
}
