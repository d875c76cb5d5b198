//go:build bench

package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/check/writer"
	"quorate/test/rig"
)

// withWAL puts so many megabytes of WAL behind the primary's last checkpoint before the fault, and lets the standbys replay them: what is measured is
// the primary's recovery against a current standby's promotion.
func withWAL(f rig.Fault, current func() *cluster, megabytes int) rig.Fault {
	f.Prepare = func(ctx context.Context, s rig.Scene) error {
		c := current()
		if err := writer.FillWAL(ctx, s.Cluster.Target(), c.client.Dial, megabytes); err != nil {
			return err
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
