package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Raft's keys in the stable store (hashicorp/raft, raft.go), and ours.
var (
	keyCurrentTerm  = []byte("CurrentTerm")
	keyLastVoteTerm = []byte("LastVoteTerm")
	keyLastVoteCand = []byte("LastVoteCand")
	keyVote         = []byte("QuorateVote")  // term and candidate in one value
	keyProbe        = []byte("QuorateProbe") // written to prove that the disk writes
)

const (
	// voteWrites is how often a vote is written before it is not given after all, and writePause the time between.
	voteWrites = 5
	writePause = 200 * time.Millisecond
)

// pendingVote holds the term of a vote until the candidate comes: see SetUint64.
type pendingVote struct {
	term uint64
	set  bool
}

// Set implements raft.StableStore. Raft writes a vote as two values; a crash between them would leave the new term with
// the old candidate, and a second vote in the same term would be possible (hashicorp/raft#661). Here the term waits in
// memory for the candidate, and both become one value.
func (s *logStore) Set(key, val []byte) error {
	if string(key) != string(keyLastVoteCand) {
		return s.write(func() error { return s.wal.Set(key, val) })
	}
	s.mu.Lock()
	v := s.vote
	s.vote = pendingVote{}
	s.mu.Unlock()
	if !v.set {
		return errors.New("raftstore: a vote without its term")
	}
	return s.stubborn(keyVote, append(binary.BigEndian.AppendUint64(nil, v.term), val...), voteWrites)
}

// SetUint64 implements raft.StableStore.
func (s *logStore) SetUint64(key []byte, val uint64) error {
	switch string(key) {
	case string(keyLastVoteTerm):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.vote = pendingVote{term: val, set: true}
		return nil
	case string(keyCurrentTerm):
		if err := s.saveTerm(key, val); err != nil {
			s.die(fmt.Errorf("save the term: %w", err)) // Raft would panic
		}
		return nil
	}
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

// saveTerm writes the term and does not give up before the store closes: a full disk may get room again. Meanwhile this
// member takes part in nothing and serves nothing, see stalledFor.
func (s *logStore) saveTerm(key []byte, val uint64) error {
	defer s.failing.Store(0)
	b := binary.BigEndian.AppendUint64(nil, val)
	for {
		err := s.stubborn(key, b, voteWrites)
		if err == nil {
			return nil
		}
		s.failing.CompareAndSwap(0, s.since())
		select {
		case <-s.closing:
			return err
		default:
		}
	}
}

// stubborn writes a value, several times if need be.
func (s *logStore) stubborn(key, val []byte, tries int) (err error) {
	for range tries {
		if err = s.write(func() error { return s.wal.Set(key, val) }); err == nil {
			return nil
		}
		s.log.Warn("writing the term or a vote failed", "key", string(key), "error", err)
		select {
		case <-time.After(writePause):
		case <-s.closing:
			return err
		}
	}
	return err
}

// errNoValue is compared by its text in hashicorp/raft.
var errNoValue = errors.New("not found")

func (s *logStore) value(key []byte) ([]byte, error) {
	v := s.wal.Value(key)
	if v == nil {
		return nil, errNoValue
	}
	return v, nil
}

// Get implements raft.StableStore.
func (s *logStore) Get(key []byte) ([]byte, error) {
	if string(key) != string(keyLastVoteCand) {
		return s.value(key)
	}
	v, err := s.value(keyVote)
	if err != nil {
		return nil, err
	}
	if len(v) < 8 {
		return nil, fmt.Errorf("%w: the vote has %d bytes", ErrDisk, len(v))
	}
	return v[8:], nil
}

// GetUint64 implements raft.StableStore.
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	if string(key) == string(keyLastVoteTerm) {
		key = keyVote
	}
	v, err := s.value(key)
	if err != nil {
		return 0, err
	}
	if len(v) < 8 {
		return 0, fmt.Errorf("%w: %s has %d bytes", ErrDisk, key, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
