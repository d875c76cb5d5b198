//go:build bench

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/rig"
)

// withWAL puts so many megabytes of WAL behind the primary's last checkpoint before the fault, and lets the standbys replay them: what is measured is
// the primary's recovery against a current standby's promotion.
func withWAL(f rig.Fault, current func() *cluster, megabytes int) rig.Fault {
	f.Prepare = func(ctx context.Context, _ rig.Scene) error {
		c := current()
		for _, statement := range fillSQL(megabytes) {
			if _, err := c.ask(ctx, statement); err != nil {
				return err
			}
		}
		var last error
		err := poll(ctx, "the standbys to replay", func() bool {
			var behind string
			if behind, last = c.ask(ctx, behindSQL); last == nil && behind == "0" {
				return true
			}
			_ = pause(ctx, 200*time.Millisecond)
			return false
		})
		if err != nil && last != nil {
			return last
		}
		return err
	}
	return f
}

// fillSQL writes so many megabytes of WAL behind a checkpoint, and leaves no table. Rows of 1000 bytes are a little over that in WAL, and too short for
// PostgreSQL to compress them.
func fillSQL(megabytes int) []string {
	return []string{
		`CREATE TABLE quorate_fill (t text)`,
		`CHECKPOINT`,
		fmt.Sprintf(`INSERT INTO quorate_fill SELECT repeat('x', 1000) FROM generate_series(1, %d)`, megabytes*1000),
		`DROP TABLE quorate_fill`,
	}
}

// behindSQL counts the standbys that are a segment or more behind in replay.
const behindSQL = `SELECT count(*) FROM pg_stat_replication
	WHERE replay_lsn IS NULL OR pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > 16777216`

// ask returns the first column of the first row, from the primary by way of the router.
func (c *cluster) ask(ctx context.Context, sql string) (string, error) {
	conf, err := pgconn.ParseConfig(c.Target())
	if err != nil {
		return "", err
	}
	conf.DialFunc = c.client.Dial
	conn, err := pgconn.ConnectConfig(ctx, conf)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 || len(results[0].Rows) == 0 {
		return "", err
	}
	return string(results[0].Rows[0][0]), nil
}
