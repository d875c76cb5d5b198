package writer

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/check"
)

// setupSQL has no unique index on purpose: a row that came twice has to be seen, not prevented.
const setupSQL = `DROP TABLE IF EXISTS quorate_check; CREATE TABLE quorate_check (id text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`

// insertSQL commits one row and says who committed it, in one statement, so that no failover comes between. The timeline is that of the WAL being written:
// pg_control_checkpoint() would still give the old one until the first checkpoint after a promotion.
const insertSQL = `
WITH held AS MATERIALIZED (SELECT pg_sleep($2::float8))
INSERT INTO quorate_check (id) SELECT $1 FROM held
RETURNING (SELECT system_identifier FROM pg_control_system())::text,
          substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
          coalesce(host(inet_server_addr()) || ':' || inet_server_port(), ''),
          (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text`

// Setup makes the table that all writers of a history share, and throws away that of an earlier one; run it once, before the first writer.
func Setup(ctx context.Context, target string, dial pgconn.DialFunc) error {
	return withSession(ctx, target, dial, func(conn *pgconn.PgConn) error {
		_, err := conn.Exec(ctx, setupSQL).ReadAll()
		return err
	})
}

// FillWAL makes the primary write so many megabytes of WAL after a checkpoint, for faults whose length depends on what has to be replayed. It leaves no table.
func FillWAL(ctx context.Context, target string, dial pgconn.DialFunc, megabytes int) error {
	// A row of 1000 bytes is a little over that in WAL; without compression of the row, which text of one letter would invite.
	fill := fmt.Sprintf(`CREATE TABLE quorate_fill (t text STORAGE EXTERNAL);
		CHECKPOINT;
		INSERT INTO quorate_fill SELECT repeat('x', 1000) FROM generate_series(1, %d);
		DROP TABLE quorate_fill`, megabytes*1000)
	return withSession(ctx, target, dial, func(conn *pgconn.PgConn) error {
		for _, statement := range strings.Split(fill, ";") {
			if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReadIDs counts the rows of each id, as check.CheckIDs wants them.
func ReadIDs(ctx context.Context, target string, dial pgconn.DialFunc) (map[string]int, error) {
	found := map[string]int{}
	err := withSession(ctx, target, dial, func(conn *pgconn.PgConn) error {
		rows := conn.ExecParams(ctx, `SELECT id, count(*)::text FROM quorate_check GROUP BY id`, nil, nil, nil, nil)
		for rows.NextRow() {
			n, err := strconv.Atoi(string(rows.Values()[1]))
			if err != nil {
				return err
			}
			found[string(rows.Values()[0])] = n
		}
		_, err := rows.Close()
		return err
	})
	return found, err
}

func withSession(ctx context.Context, target string, dial pgconn.DialFunc, do func(*pgconn.PgConn) error) error {
	conf, err := pgconn.ParseConfig(target)
	if err != nil {
		return err
	}
	if dial != nil {
		conf.DialFunc = dial
	}
	conn, err := pgconn.ConnectConfig(ctx, conf)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}

func insert(ctx context.Context, conn *pgconn.PgConn, id string, o Options) (check.Server, error) {
	hold := strconv.FormatFloat(o.Hold.Seconds(), 'f', 3, 64)
	res := conn.ExecParams(ctx, insertSQL, [][]byte{[]byte(id), []byte(hold)}, nil, nil, nil).Read()
	if res.Err != nil {
		return check.Server{}, res.Err
	}
	if len(res.Rows) != 1 {
		return check.Server{}, fmt.Errorf("writer: %d rows where one was inserted", len(res.Rows))
	}
	server, err := parseServer(res.Rows[0])
	if o.Node != "" {
		server.Node = o.Node
	}
	return server, err
}

func parseServer(row [][]byte) (check.Server, error) {
	timeline, err := strconv.ParseUint(string(row[1]), 16, 32)
	if err != nil {
		return check.Server{}, fmt.Errorf("writer: timeline: %w", err)
	}
	started, err := strconv.ParseInt(string(row[3]), 10, 64)
	if err != nil {
		return check.Server{}, fmt.Errorf("writer: start of the postmaster: %w", err)
	}
	return check.Server{SystemID: string(row[0]), Timeline: uint32(timeline), Node: string(row[2]), Started: started}, nil
}

// Await asks the target until it takes writes, or ctx ends; the error then is the last answer.
func Await(ctx context.Context, target string, dial pgconn.DialFunc) error {
	for {
		err := withSession(ctx, target, dial, func(conn *pgconn.PgConn) error {
			_, err := conn.Exec(ctx, `CREATE TEMPORARY TABLE quorate_await ()`).ReadAll()
			return err
		})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("writer: %s takes no writes: %w", target, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
