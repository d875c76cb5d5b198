package instance

import (
	"context"
	"fmt"
	"os"

	"quorate/pgctl/postgres"
)

// Tail is what the log of a folder at rest holds from a position on.
type Tail struct {
	Timeline postgres.Timeline
	// Durable is where the last record ends by which a client was told that something is there to stay: a commit, or a prepared
	// transaction. The position that was asked from, when there is none.
	Durable postgres.LSN
}

// walPage is the size of PostgreSQL's log pages, and crossing is by how much earlier the reading begins, so that a record that crosses the
// position is seen.
const (
	walPage  = 8192
	crossing = 8 * walPage
)

// ReadTail reads the log from a position on that was once flushed, as after a crash.
func (i *Instance) ReadTail(ctx context.Context, from postgres.LSN) (Tail, error) {
	c, err := i.ControlData(ctx)
	if err != nil {
		return Tail{}, fmt.Errorf("read the log's tail: %w", err)
	}
	t := Tail{Timeline: i.timelineAt(c.Timeline, from, c.WALSegmentSize), Durable: from}
	begin := (from - min(from, crossing)) &^ (walPage - 1) // also when a checkpoint has come since: what was committed before it counts
	if f := postgres.WALFileAt(t.Timeline, begin, c.WALSegmentSize); !exists(i.dataPath("pg_wal", f.Name(c.WALSegmentSize))) {
		return t, fmt.Errorf("read the log's tail: %s is missing", f.Name(c.WALSegmentSize))
	}
	r := walRange{postgres.Stretch{Timeline: t.Timeline, Begin: begin, End: postgres.MaxLSN}, c.WALSegmentSize, "Transaction"}
	err = i.walkWAL(ctx, r, func(rec postgres.WALRecord) {
		if rec.IsCommit() || rec.IsPrepare() {
			t.Durable = max(t.Durable, postgres.RecordEnd(rec.LSN, rec.Length, c.WALSegmentSize))
		}
	})
	if err != nil {
		return t, fmt.Errorf("read the log's tail: %w", err)
	}
	return t, nil
}

// timelineAt is the newest timeline that has log at a position: a primary that was promoted since its last checkpoint is on a newer one
// than its control file says.
func (i *Instance) timelineAt(t postgres.Timeline, at postgres.LSN, segSize uint64) postgres.Timeline {
	entries, err := os.ReadDir(i.dataPath("pg_wal"))
	if err != nil {
		return t
	}
	for _, e := range entries {
		var n uint32
		if _, err := fmt.Sscanf(e.Name(), "%08X.history", &n); err != nil || postgres.Timeline(n) <= t {
			continue
		}
		h, err := i.LocalHistory(postgres.Timeline(n))
		if err == nil && h.Begin() <= at && exists(i.dataPath("pg_wal", postgres.WALFileAt(h.Timeline, at, segSize).Name(segSize))) {
			t = h.Timeline
		}
	}
	return t
}
