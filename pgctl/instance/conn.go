package instance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"quorate/pgctl/postgres"
)

// connectTimeout bounds each attempt to connect: the local server answers at once or is in trouble.
const connectTimeout = 3 * time.Second

// session is a connection with the few ways to ask that are needed here.
type session struct{ conn *pgconn.PgConn }

// target is where and as whom to connect.
type target struct {
	host     string
	port     int
	account  Account
	database string
	app      string
	params   map[string]string // run-time parameters
}

// local opens a connection of the superuser to the local server: by the socket, else by TCP when the socket lets nobody in.
func (i *Instance) local(ctx context.Context, app string, params map[string]string) (*session, error) {
	return i.localTo(ctx, i.settings().Database, app, params)
}

func (i *Instance) localTo(ctx context.Context, database, app string, params map[string]string) (*session, error) {
	at := i.served(ctx)
	p := map[string]string{"jit": "off"} // whatever the server's costs are: to compile a question takes longer than its answer may
	maps.Copy(p, params)
	t := target{host: at.socketDir, port: at.port, account: i.accounts().Superuser, database: database, app: app, params: p}
	s, err := i.dial(ctx, t)
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	t.host = i.settings().ConnectHost
	s, errTCP := i.dial(ctx, t)
	if errTCP != nil {
		return nil, errors.Join(err, errTCP)
	}
	return s, nil
}

// knownToPgconn are the libpq keywords that pgconn knows; it would take any other for a run-time parameter, which the server refuses.
var knownToPgconn = []string{"sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslsni", "sslnegotiation", "krbsrvname", "channel_binding"}

// dial connects by an account, or by what it was before a change of its password, should the server not know of that yet.
func (i *Instance) dial(ctx context.Context, t target) (*session, error) {
	s, err := i.dialAs(ctx, t)
	if !refusedLogin(err) {
		return s, err
	}
	var ok bool
	if t.account, ok = i.former(t.account); ok {
		if s, errFormer := i.dialAs(ctx, t); errFormer == nil {
			return s, nil
		}
	}
	return nil, err
}

func (i *Instance) dialAs(ctx context.Context, t target) (*session, error) {
	c := postgres.Conninfo{}.With("host", t.host).With("port", strconv.Itoa(t.port)).With("user", t.account.User).
		With("dbname", t.database).With("application_name", t.app).With("connect_timeout", "3").With("sslmode", "prefer")
	for _, s := range t.account.Extra {
		if slices.Contains(knownToPgconn, s.Name) {
			c = c.With(s.Name, s.Value)
		}
	}
	cfg, err := pgconn.ParseConfig(c.String())
	if err != nil {
		return nil, err
	}
	cfg.Password = t.account.Password
	for k, v := range t.params {
		cfg.RuntimeParams[k] = v
	}
	cfg.ConnectTimeout = connectTimeout
	cfg.DialFunc = i.dialer
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &session{conn}, nil
}

// keepAlive finds a server's host gone that is waited for, as the programs' connections do.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}

// dialer connects to a socket as the user that runs PostgreSQL when the agent is root, so that the method "peer", the distributions'
// default, takes it for the superuser.
func (i *Instance) dialer(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	if network != "unix" || os.Geteuid() != 0 {
		return d.DialContext(ctx, network, addr)
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// The thread's identity is changed, not the process's. A thread that could not get back is not given to anybody else.
		runtime.LockOSThread()
		if err := setThreadUID(i.opt.UID); err != nil {
			runtime.UnlockOSThread()
			done <- result{nil, err}
			return
		}
		conn, err := d.DialContext(ctx, network, addr)
		if setThreadUID(0) == nil {
			runtime.UnlockOSThread()
		}
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// setThreadUID sets the effective user of the calling thread alone.
func setThreadUID(uid int) error {
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return errno
	}
	return nil
}

// close says goodbye, and does not wait long for an answer.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// exec runs statements whose results are of no interest.
func (s *session) exec(ctx context.Context, sql string) error {
	return s.conn.Exec(ctx, sql).Close()
}

// rows are the rows of one query as text; NULL is empty.
func (s *session) rows(ctx context.Context, sql string) ([][]string, error) {
	res, err := s.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range res {
		for _, row := range r.Rows {
			text := make([]string, len(row))
			for n, v := range row {
				text[n] = string(v)
			}
			out = append(out, text)
		}
	}
	return out, nil
}

// one is the single row of a query.
func (s *session) one(ctx context.Context, sql string) ([]string, error) {
	rows, err := s.rows(ctx, sql)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("%d rows instead of one", len(rows))
	}
	return rows[0], nil
}

// literal quotes a string for SQL with standard_conforming_strings on, its default.
func literal(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if strings.Contains(s, `\`) {
		return " E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
	}
	return "'" + s + "'"
}

// ident quotes an identifier.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// sqlState is the code of a server's error, "" for any other.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// SocketDir is the folder of the server's UNIX socket.
func (i *Instance) SocketDir() string { return i.opt.SocketDir }
