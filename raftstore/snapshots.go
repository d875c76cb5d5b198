package raftstore

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

// conflict says whether the log holds, at a snapshot's index, an entry of another term than the snapshot's. A follower
// that receives such a snapshot keeps those entries behind it, rejects what the leader sends next because of them, is sent
// the snapshot again, and so on for ever (hashicorp/raft#697).
func (s *logStore) conflict(index, term uint64) (bool, error) {
	var l raft.Log
	switch err := s.readLog(index, &l); {
	case errors.Is(err, raft.ErrLogNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: read log entry %d: %w", ErrDisk, index, err)
	}
	return l.Term != term, nil
}

// readLog reads an entry without a claim that it must be there.
func (s *logStore) readLog(index uint64, l *raft.Log) error {
	s.mu.Lock()
	e := s.recent.get(index)
	s.mu.Unlock()
	if e != nil {
		*l = *e
		return nil
	}
	return s.wal.Entry(index, l)
}

// dropConflicts clears the log, before Raft starts, when it conflicts with the newest snapshot. Nothing is lost: what is
// up to the snapshot's index is in the snapshot, and what follows a conflicting entry was never committed.
func (s *Store) dropConflicts(snaps *raft.FileSnapshotStore) error {
	list, err := snaps.List()
	if err != nil {
		return err
	}
	newest := uint64(0)
	if len(list) > 0 {
		newest = list[0].Index
	}
	if first, _ := s.logs.bounds(); first > newest+1 {
		return fmt.Errorf("%w: the log begins with entry %d and the newest snapshot ends with %d: what is between is missing; bring the snapshots back, "+
			"or empty the store folder so that this member joins anew", ErrDisk, first, newest)
	}
	if len(list) == 0 {
		return nil
	}
	bad, err := s.logs.conflict(list[0].Index, list[0].Term)
	if err != nil || !bad {
		return err
	}
	first, last := s.logs.bounds()
	s.log.Warn("the log conflicts with the snapshot and is cleared", "snapshot", list[0].Index, "from", first, "to", last)
	return s.logs.DeleteRange(first, last)
}

// guardedSnapshots is the snapshot store with checks on what is restored at a start and on what a leader installs.
type guardedSnapshots struct {
	*raft.FileSnapshotStore
	store *Store
	// damage tells why one could not be opened, for the error of a start.
	damage *error
}

// List implements raft.SnapshotStore: newest first. Raft takes an older one where the newest is damaged, which is right only when the log has everything
// from there on: what was between would be missing, though this member has acknowledged it, and the library panics when it looks for it.
func (g guardedSnapshots) List() ([]*raft.SnapshotMeta, error) {
	list, err := g.FileSnapshotStore.List()
	if err != nil || len(list) == 0 {
		return list, err
	}
	first, last := g.store.logs.bounds()
	keep := list[:1]
	for _, older := range list[1:] {
		if first != 0 && first <= older.Index+1 && last >= list[0].Index {
			keep = append(keep, older)
		}
	}
	return keep, nil
}

// Open implements raft.SnapshotStore.
func (g guardedSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, data, err := g.FileSnapshotStore.Open(id)
	if err != nil {
		*g.damage = fmt.Errorf("%s: %w", filepath.Join(g.store.opts.Dir, snapshotDir, snapshotDir, id), err)
	}
	return meta, data, err
}

// newRaft starts the library, and makes an error of what it panics at or ends its goroutine for.
func (s *Store) newRaft(cfg *raft.Config, f *fsm, snaps *raft.FileSnapshotStore, trans raft.Transport) (r *raft.Raft, err error) {
	var damage error
	err = bounded(startLimit, "start raft", func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		r, err = raft.NewRaft(cfg, f, s.logs, s.logs, guardedSnapshots{snaps, s, &damage}, trans)
		return err
	})
	if damage = errors.Join(damage, f.restoring); err != nil && damage != nil {
		return nil, fmt.Errorf("%w: a snapshot is damaged, and the log does not go back far enough to do without it; nothing was changed: bring it back, "+
			"or empty the store folder so that this member joins anew: %w", ErrDisk, damage)
	}
	return r, err
}

// startLimit only bounds what has gone wrong: a large snapshot on a slow disk takes its time.
const startLimit = time.Hour

// Create implements raft.SnapshotStore.
func (g guardedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration,
	configIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	if r := g.store.disk.room; r != nil {
		if r.look(); r.full() {
			return nil, errNoRoom
		}
	}
	sink, err := g.FileSnapshotStore.Create(version, index, term, c, configIndex, trans)
	if err != nil {
		return nil, err
	}
	return guardedSink{sink, g.store, index, term}, nil
}

type guardedSink struct {
	raft.SnapshotSink
	store       *Store
	index, term uint64
}

// Close implements raft.SnapshotSink. Having received a snapshot that the log conflicts with, Raft cannot go on in this
// run: the store is reopened, and dropConflicts puts the log right.
func (g guardedSink) Close() error {
	if err := g.SnapshotSink.Close(); err != nil {
		return err
	}
	bad, err := g.store.logs.conflict(g.index, g.term)
	if err != nil {
		return err
	}
	if bad {
		g.store.fail(fmt.Errorf("%w: the log conflicts with the snapshot received at index %d", ErrReopen, g.index))
	}
	return nil
}
