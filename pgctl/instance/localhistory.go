package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"quorate/pgctl/postgres"
)

// shelved is what a history file's name ends with while PostgreSQL must not see it.
const shelved = ".aside"

// shelveHistories takes the histories out of PostgreSQL's sight that the log of the standby that is about to start cannot follow: those of timelines
// which left it before its end. A standby is sent such a history as soon as it asks a new primary for more, and one of another cluster may have come by
// a mistaken demotion. A start follows the newest timeline that it finds a history of (xlog.c, findNewestTimeLine): with one that has left it either
// ends ("does not contain minimum recovery point", "is not a child of this server's history"), though there may be nobody else who could lead, or goes the new way
// with the old way's changes in its pages. closeArchive does the same for the archive. A server that runs refuses such a timeline by itself.
func (i *Instance) shelveHistories(ctx context.Context) error {
	if err := i.unshelveHistories(); err != nil {
		return err
	}
	if exists(i.dataPath(backupLabel)) {
		return nil // a backup has nothing of its own
	}
	pos, err := i.controlPosition(ctx)
	if err != nil {
		return err
	}
	newest := pos.History.Timeline
	for exists(i.historyPath(newest + 1)) {
		newest++
	}
	// The newest alone counts, whatever lies between: a timeline that was left behind may stand beside the one that this log has gone on with.
	for t := newest; t > pos.History.Timeline; t-- {
		switch why, err := i.historyLeaves(ctx, t); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			i.log.Warn("whether this log can go the way of a history in pg_wal is not known: left to PostgreSQL", "file", t.HistoryFile(), "err", err)
			return nil
		case why == "":
			return nil
		default:
			i.log.Warn("a history in pg_wal is kept aside until a promotion or the next start: this log does not go its way", "file", t.HistoryFile()+shelved, "reason", why)
		}
		if err := i.shelve(t); err != nil {
			return err
		}
	}
	return nil
}

// historyLeaves is leaves for a timeline whose history is in pg_wal.
func (i *Instance) historyLeaves(ctx context.Context, t postgres.Timeline) (why string, err error) {
	h, err := i.LocalHistory(t)
	if err != nil {
		return "", err
	}
	return i.leaves(ctx, h)
}

func (i *Instance) historyPath(t postgres.Timeline) string {
	return i.dataPath("pg_wal", t.HistoryFile())
}

// shelve hides the history of t.
func (i *Instance) shelve(t postgres.Timeline) error {
	if err := os.Rename(i.historyPath(t), i.historyPath(t)+shelved); err != nil {
		return err
	}
	return syncDir(i.dataPath("pg_wal"))
}

// unshelveHistories shows PostgreSQL what was hidden from it, so that a promotion does not take the number of a timeline that is known. What has
// come under the same name since is newer, and stays.
func (i *Instance) unshelveHistories() error {
	hidden, err := filepath.Glob(i.dataPath("pg_wal", "*.history"+shelved))
	if err != nil || len(hidden) == 0 {
		return err
	}
	for _, path := range hidden {
		name := strings.TrimSuffix(path, shelved)
		if exists(name) {
			continue
		}
		if err := os.Rename(path, name); err != nil {
			return err
		}
	}
	return syncDir(i.dataPath("pg_wal"))
}

// leaves says by what the local log cannot be followed to its end on the way of h; "" when it can.
func (i *Instance) leaves(ctx context.Context, h postgres.History) (why string, err error) {
	local, end, err := i.localEndFrom(ctx, h)
	if errors.Is(err, postgres.ErrNoCommonTimeline) {
		return fmt.Sprintf("timeline %d there has nothing in common with this log", h.Timeline), nil
	}
	if err != nil {
		return "", err
	}
	d, err := postgres.Diverge(local, end, h)
	if err != nil || !d.Diverged {
		return "", err
	}
	return fmt.Sprintf("timeline %d there left timeline %d at %s, and this log goes on to %s", h.Timeline, d.Fork.Timeline, d.Fork.LSN, end), nil
}
