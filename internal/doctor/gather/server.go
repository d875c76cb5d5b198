package gather

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/internal/config"
	"quorate/internal/doctor"
	"quorate/pgctl/postgres"
)

// server asks a member's PostgreSQL, and tries each of the cluster's accounts there.
func (g *gatherer) server(ctx context.Context, m doctor.Member) (s doctor.Server) {
	p := g.Config.PostgreSQL
	if conn, err := g.dial(ctx, m.Addr, p.Replication, "", true); err != nil {
		s.Logins = append(s.Logins, doctor.Login{Use: "replication", User: p.Replication.Username, Err: sqlError(err)})
	} else {
		_, err := rows(ctx, conn, "IDENTIFY_SYSTEM")
		s.Logins = append(s.Logins, doctor.Login{Use: "replication", User: p.Replication.Username, Err: sqlError(err)})
		hangUp(ctx, conn)
	}
	if conn, err := g.superuser(ctx, m); err != nil {
		s.Err = sqlError(err)
		s.Logins = append(s.Logins, doctor.Login{Use: "superuser", User: p.Superuser.Username, Err: s.Err})
	} else {
		g.ask(ctx, conn, m.Name, &s)
		hangUp(ctx, conn)
	}
	if p.Rewind.Username != "" && p.Rewind.Username != p.Superuser.Username {
		s.Logins = append(s.Logins, g.rewind(ctx, m, p.Rewind))
	}
	return s
}

// superuser connects over the network, and on this host by the socket when the network is not open to it.
func (g *gatherer) superuser(ctx context.Context, m doctor.Member) (*pgconn.PgConn, error) {
	p := g.Config.PostgreSQL
	conn, err := g.dial(ctx, m.Addr, p.Superuser, "postgres", false)
	if err == nil || !m.Self {
		return conn, err
	}
	eff, _ := g.Config.Effective(nil, g.Config.Profile())
	dirs := append(strings.Split(eff.PostgreSQL.Parameters["unix_socket_directories"], ","), "/var/run/postgresql", "/tmp")
	for _, dir := range dirs {
		if dir = strings.TrimSpace(dir); dir == "" {
			continue
		}
		if conn, err := g.dialHost(ctx, dir, p.Port, p.Superuser, "postgres", false); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// rewind logs in as pg_rewind does, and asks for the privileges that its manual names.
func (g *gatherer) rewind(ctx context.Context, m doctor.Member, c config.Credentials) doctor.Login {
	l := doctor.Login{Use: "rewind", User: c.Username}
	conn, err := g.dial(ctx, m.Addr, c, "postgres", false)
	if err != nil {
		l.Err = sqlError(err)
		return l
	}
	defer hangUp(ctx, conn)
	for _, f := range []string{
		"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)", "pg_read_binary_file(text)",
		"pg_read_binary_file(text, bigint, bigint, boolean)",
	} {
		r, err := rows(ctx, conn, "SELECT pg_catalog.has_function_privilege('pg_catalog."+f+"', 'execute')")
		if err != nil {
			l.Err = sqlError(err)
			return l
		}
		if len(r) == 1 && r[0][0] != "t" {
			l.Lacks = append(l.Lacks, "EXECUTE on "+f)
		}
	}
	return l
}

// settings are the parameters that rules look at.
var settings = []string{
	"fsync", "full_page_writes", "synchronous_commit", "wal_level", "hot_standby", "wal_log_hints", "data_checksums", "archive_mode",
	"archive_command", "archive_library", "wal_keep_size", "max_slot_wal_keep_size", "wal_receiver_timeout", "wal_sender_timeout",
	"max_replication_slots", "max_wal_senders", "max_connections", "max_worker_processes", "max_prepared_transactions",
	"max_locks_per_transaction",
}

const slotsSQL = `SELECT slot_name, slot_type, active, coalesce(wal_status, ''),
 coalesce(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
  ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)::bigint, -1) FROM pg_catalog.pg_replication_slots`

const archiverSQL = `SELECT coalesce(last_failed_wal, '') FROM pg_catalog.pg_stat_archiver
 WHERE last_failed_time > coalesce(last_archived_time, '-infinity')`

// ask reads parameters, slots and the archiver's state.
func (g *gatherer) ask(ctx context.Context, conn *pgconn.PgConn, member string, s *doctor.Server) {
	quoted := "'" + strings.Join(settings, "', '") + "'"
	got, err := rows(ctx, conn, "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ("+quoted+")")
	if err != nil {
		g.missed("the parameters of %s were not read: %v", member, err)
		return
	}
	s.Settings = map[string]string{}
	for _, r := range got {
		s.Settings[r[0]] = r[1]
	}
	if got, err = rows(ctx, conn, slotsSQL); err != nil {
		g.missed("the slots of %s were not read: %v", member, err)
	}
	for _, r := range got {
		n, _ := strconv.ParseInt(r[4], 10, 64)
		s.Slots = append(s.Slots, doctor.Slot{Name: r[0], Type: r[1], Active: r[2] == "t", Status: r[3], Retained: n})
	}
	if got, err = rows(ctx, conn, archiverSQL); err == nil && len(got) > 0 {
		s.ArchiveFailed, s.ArchiveError = true, got[0][0]
	}
}

func (g *gatherer) dial(ctx context.Context, addr string, c config.Credentials, database string, replication bool) (*pgconn.PgConn, error) {
	host, number, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	return g.dialHost(ctx, host, port, c, database, replication)
}

// knownToPgconn are the keywords that it knows; it would take any other for a run-time parameter.
var knownToPgconn = []string{"sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslnegotiation", "channel_binding"}

func (g *gatherer) dialHost(ctx context.Context, host string, port int, c config.Credentials, database string, replication bool) (*pgconn.PgConn, error) {
	if c.Username == "" {
		return nil, errors.New("no user of that kind is configured")
	}
	info := postgres.Conninfo{}.With("host", host).With("port", strconv.Itoa(port)).With("user", c.Username).
		With("application_name", "quorate doctor").With("sslmode", "prefer")
	if database != "" {
		info = info.With("dbname", database)
	}
	for _, s := range []postgres.Setting{
		{Name: "sslmode", Value: c.SSLMode}, {Name: "sslcert", Value: c.SSLCert}, {Name: "sslkey", Value: c.SSLKey},
		{Name: "sslpassword", Value: c.SSLPassword}, {Name: "sslrootcert", Value: c.SSLRootCert}, {Name: "sslnegotiation", Value: c.SSLNegotiation},
		{Name: "channel_binding", Value: c.ChannelBinding},
	} {
		if s.Value != "" && slices.Contains(knownToPgconn, s.Name) {
			info = info.With(s.Name, s.Value)
		}
	}
	cfg, err := pgconn.ParseConfig(info.String())
	if err != nil {
		return nil, err
	}
	cfg.Password, cfg.ConnectTimeout = c.Password, 3*time.Second
	if replication {
		cfg.RuntimeParams["replication"] = "true"
	}
	return pgconn.ConnectConfig(ctx, cfg)
}

// rows runs one statement by the simple protocol, which replication connections take too.
func rows(ctx context.Context, conn *pgconn.PgConn, sql string) ([][]string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range results {
		for _, row := range r.Rows {
			var cells []string
			for _, v := range row {
				cells = append(cells, string(v))
			}
			out = append(out, cells)
		}
	}
	return out, nil
}

func hangUp(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// sqlError is what the server said, without the attempts around it.
func sqlError(err error) string {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &pg):
		return pg.Message
	}
	return firstLine(err.Error())
}
