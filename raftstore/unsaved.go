package raftstore

import (
	"github.com/hashicorp/raft"
)

// maxUnsaved and maxUnsavedBytes bound what waits to be written. Beyond that Raft waits for the disk, and a larger group of
// proposals gathers meanwhile.
const (
	maxUnsaved      = 1024
	maxUnsavedBytes = 1 << 20
)

// later takes entries whose write need not be waited for; false when it must be.
func (s *logStore) later(logs []*raft.Log) bool {
	if len(logs) == 0 || s.overlap == nil || !s.overlap() {
		return false
	}
	var size int64
	for _, l := range logs {
		if l.Type != raft.LogCommand {
			return false
		}
		size += logSize(l)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, last := s.sizes.bounds(); last+1 != logs[0].Index || s.broken != nil {
		return false
	}
	if s.unsaved+uint64(len(logs)) > maxUnsaved || s.bytes+size > maxUnsavedBytes {
		return false
	}
	s.unsaved += uint64(len(logs))
	s.bytes += size
	s.remember(logs)
	if !s.saving {
		s.saving = true
		go s.save()
	}
	return true
}

// save writes what StoreLogs left to be written, until nothing is left or the disk fails.
func (s *logStore) save() {
	for {
		err := s.write(s.saveRest)
		s.mu.Lock()
		if err != nil {
			s.setBroken(err)
		}
		if s.unsaved == 0 || s.broken != nil {
			s.saving = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// saveRest writes the entries that are not on the disk yet. It runs within write.
func (s *logStore) saveRest() error {
	s.mu.Lock()
	rest := s.recent.newest(s.unsaved)
	s.mu.Unlock()
	if len(rest) == 0 {
		return nil
	}
	err := s.wal.Append(rest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.setBroken(err)
		return err
	}
	s.unsaved -= uint64(len(rest))
	for _, l := range rest {
		s.bytes -= logSize(l)
	}
	s.recent.trim(s.unsaved)
	s.setBroken(nil)
	return nil
}

// setBroken notes whether the entries could be written; s.mu is held. While they cannot be, this member must not lead: see
// diskGuard.stalled.
func (s *logStore) setBroken(err error) {
	if s.unsaved == 0 {
		err = nil
	}
	if err != nil && s.broken == nil {
		s.log.Error("writing entries to the log failed; this member does not lead", "error", err)
	}
	s.broken = err
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// cannotSave says that entries which Raft takes for stored could not be written.
func (s *logStore) cannotSave() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil
}

// saved waits until an entry is on the disk, and fails when it cannot be written or the store closes.
func (s *logStore) saved(index uint64) error {
	for {
		s.mu.Lock()
		_, last := s.sizes.bounds()
		err := s.broken
		if index > last {
			err = raft.ErrLogNotFound // it was replaced, so this node does not lead any more
		}
		if index+s.unsaved <= last {
			s.mu.Unlock()
			return nil
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-moved:
		case <-s.closing:
			return raft.ErrRaftShutdown
		}
	}
}
