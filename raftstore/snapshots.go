package raftstore

import (
	"errors"
	"fmt"

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

// guardedSnapshots is the snapshot store with a check on what a leader installs.
type guardedSnapshots struct {
	*raft.FileSnapshotStore
	store *Store
}

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
