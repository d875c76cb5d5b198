package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"quorate/pgctl/postgres"
)

// ErrArchiveLeaves says that the archive holds a timeline which this folder's log cannot follow.
var ErrArchiveLeaves = errors.New("the archive has another history")

const (
	// archivePatience bounds the look into the archive before a start.
	archivePatience = 10 * time.Second
	// fetchedHistory is where a timeline's history from the archive is laid for a moment, relative to the data folder. It is PostgreSQL's own
	// name for that, and what it finds there it removes (xlogarchive.c, RestoreArchivedFile).
	fetchedHistory = "pg_wal/RECOVERYHISTORY"
)

// closeArchive keeps the standby that is about to start away from an archive that holds a timeline which left the local log before its
// end. A start looks for the newest timeline in the archive first and replays along it (xlog.c, findNewestTimeLine): what the local log
// holds behind the fork, which may be the last copy of what a client was told is there to stay, would be passed over without a word,
// neither counted nor kept. A server that has replayed its log refuses such a timeline by itself (timeline.c, rescanLatestTimeLine), so it is
// the start alone that must not see it. It stays closed until the next start, a Follow, or a promotion, which looks for a free timeline there.
//
// When the archive does not tell, reopen is true: it is to be opened once the standby is ready.
func (i *Instance) closeArchive(ctx context.Context) (reopen bool, err error) {
	i.confMu.Lock()
	restore := merged(i.conf.Recovery, i.upstream.Recovery)["restore_command"]
	i.confMu.Unlock()
	if restore == "" || exists(i.dataPath(backupLabel)) {
		return false, nil // a backup has nothing of its own
	}
	v, err := i.Version(ctx)
	if err != nil {
		return false, err
	}
	look, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	switch why, err := i.archiveLeaves(look, restore); {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err == nil && why == "", err != nil && !v.RestoreCommandReloads():
		return false, nil
	case !v.RestoreCommandReloads():
		return false, fmt.Errorf("%w: %s; before version 14 it cannot be opened again without a restart", ErrArchiveLeaves, why)
	case err != nil:
		i.log.Warn("the archive does not tell which timelines it holds: closed to this standby until it is ready", "err", err)
		reopen = true
	default:
		i.log.Warn("the archive is closed to this standby until it follows a leader or is promoted: "+why, "remedy", "see docs/recovery.md, The archive has left")
	}
	i.confMu.Lock()
	i.closed = true
	i.confMu.Unlock()
	return reopen, nil
}

// archiveLeaves says by what the newest timeline of the archive is not one that the whole local log can follow; "" when it is.
func (i *Instance) archiveLeaves(ctx context.Context, restore string) (why string, err error) {
	pos, err := i.controlPosition(ctx)
	if err != nil {
		return "", err
	}
	newest, err := i.newestArchived(ctx, restore, pos.History.Timeline)
	if err != nil || newest.Timeline == 0 {
		return "", err
	}
	return i.leaves(ctx, newest)
}

// newestArchived is the history of the newest timeline behind t that the archive holds, as a start of PostgreSQL would find it: it looks for
// one after the other, until one is not there. Its Timeline is 0 when there is none.
func (i *Instance) newestArchived(ctx context.Context, restore string, t postgres.Timeline) (postgres.History, error) {
	var newest postgres.History
	for {
		t++
		h, err := i.archivedHistory(ctx, restore, t)
		if err != nil {
			return newest, err
		}
		if h.Timeline == 0 {
			if h, err = i.LocalHistory(t); err != nil {
				return newest, nil // PostgreSQL goes on behind a history that it has itself
			}
			continue
		}
		newest = h
	}
}

// archivedHistory fetches a timeline's history from the archive. Its Timeline is 0 when it is not there.
func (i *Instance) archivedHistory(ctx context.Context, restore string, t postgres.Timeline) (postgres.History, error) {
	path := i.dataPath(fetchedHistory)
	if err := removeFile(path); err != nil {
		return postgres.History{}, err
	}
	line := postgres.RestoreCommand(restore, fetchedHistory, t.HistoryFile())
	_, err := i.run(ctx, command{path: "/bin/sh", args: []string{"-c", line}, dir: i.opt.DataDir})
	var e *toolError
	if err != nil && !errors.As(err, &e) {
		return postgres.History{}, err
	}
	b, readErr := os.ReadFile(path)
	if err != nil || readErr != nil {
		return postgres.History{}, removeFile(path)
	}
	h, err := postgres.ParseHistory(t, string(b))
	if err != nil {
		return h, fmt.Errorf("%s of the archive: %w", t.HistoryFile(), err)
	}
	return h, removeFile(path)
}
