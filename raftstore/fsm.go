package raftstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/hashicorp/raft"
	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/backend"
)

// fsm is the state as hashicorp/raft drives it.
type fsm struct {
	state    *state
	forwards *forwards // who waits for entries
	// committed is told, before each batch is applied, of the last entry's index and term.
	committed func(index, term uint64)
	// fail ends the store. It must not panic: that would end the process.
	fail func(error)
	// restoring is why a snapshot could not be restored.
	restoring error
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch implements raft.BatchingFSM. Configuration entries come this way too; Raft takes no snapshot beyond one that
// the state machine has not seen.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	defer f.endOnPanic()
	last := logs[len(logs)-1]
	f.committed(last.Index, last.Term) // the followers apply while this node does
	out := make([]any, len(logs))
	for i, l := range logs {
		out[i] = f.applyOne(l)
	}
	f.state.progress.advance(last.Index)
	f.forwards.applied(logs, out)
	return out
}

// Apply implements raft.FSM; Raft does not call it on a BatchingFSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

func (f *fsm) applyOne(l *raft.Log) outcome {
	if l.Type != raft.LogCommand {
		f.state.mu.Lock()
		defer f.state.mu.Unlock()
		f.state.setApplied(l.Index)
		return outcome{}
	}
	out, err := f.state.apply(entry{Index: l.Index, Term: l.Term, Data: l.Data})
	if err != nil {
		f.fail(err)
		runtime.Goexit()
	}
	return out
}

// endOnPanic turns a panic of the packages below, which hold to invariants of theirs, into the end of the store.
func (f *fsm) endOnPanic() {
	if p := recover(); p != nil {
		f.fail(fmt.Errorf("%w: panic in the state machine: %v", ErrReopen, p))
		runtime.Goexit()
	}
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	defer f.endOnPanic()
	snap, dense, err := f.state.snapshot()
	if err != nil {
		return nil, err
	}
	return &fsmSnapshot{snap: snap, dense: dense, dir: f.state.dir, release: sync.OnceFunc(func() { snap.Close() })}, nil
}

// snapshot is the backend between two entries. dense says that hardly any of its pages are free.
func (s *state) snapshot() (snap backend.Snapshot, dense bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.saveV2(), s.saveV2Users()); err != nil {
		return nil, false, err
	}
	s.putState(appliedKey, s.applied)
	snap = s.be.Snapshot() // which writes what waits, and counts the pages
	file, inUse := s.size()
	return snap, file-inUse <= file/sparsest, nil
}

// sparsest is the part of the file, as a divisor, that may be free pages for it to be dense.
const sparsest = 4

// copy writes a compacted copy of the backend and returns its path.
func (s *state) copy() (string, error) {
	snap, _, err := s.snapshot()
	if err != nil {
		return "", err
	}
	defer snap.Close()
	return compactCopy(snap, s.dir)
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer f.endOnPanic()
	f.restoring = errors.New("its data cannot be read: see the log")
	f.restoring = f.restore(r)
	return f.restoring
}

func (f *fsm) restore(r io.Reader) error {
	f.state.gen++
	path := f.state.path(f.state.gen)
	if err := copyToFile(path, r); err != nil {
		return fmt.Errorf("receive snapshot: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	// The backend would end the process at the first page that is not there.
	if err := viewSnapshot(path, info.Size(), func(*bolt.Tx) error { return nil }); err != nil {
		f.state.gen--
		return errors.Join(err, os.Remove(path))
	}
	if err := f.state.replace(path); err != nil {
		return err
	}
	f.forwards.skipped()
	return nil
}

func copyToFile(path string, r io.Reader) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, r); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// fsmSnapshot is the state at one log index.
type fsmSnapshot struct {
	snap    backend.Snapshot
	dense   bool
	dir     string
	release func()
}

// Persist implements raft.FSMSnapshot. It writes a compacted copy of a file with many free pages: the file itself keeps every page it ever used,
// and would be shipped whole to each new member. A dense one it writes as it is: under load, when there is a snapshot every few seconds,
// compacting cost a sixth of the processor's time, and one copy wears the disk less than three.
func (s *fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	if s.dense {
		_, err := s.snap.WriteTo(sink)
		s.release()
		if err != nil {
			return fmt.Errorf("copy snapshot: %w", err)
		}
		return sink.Close()
	}
	path, err := compactCopy(s.snap, s.dir)
	s.release() // raft.RecoverCluster never does, and the backend's Close waits for it
	if err != nil {
		return fmt.Errorf("compact snapshot: %w", err)
	}
	defer os.Remove(path)
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.Copy(sink, in); err != nil {
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *fsmSnapshot) Release() { s.release() }

// compactTxBytes bounds a transaction of a compaction.
const compactTxBytes = 1 << 20

// compactCopy writes a snapshot into a new file without its free pages and returns the file's path.
func compactCopy(snap backend.Snapshot, dir string) (path string, err error) {
	raw, err := os.CreateTemp(dir, "raw-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(raw.Name())
	_, err = snap.WriteTo(raw)
	if cerr := raw.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	return compactFile(raw.Name(), raw.Name()+".compact")
}

func compactFile(from, to string) (string, error) {
	src, err := bolt.Open(from, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return "", err
	}
	defer src.Close()
	dst, err := bolt.Open(to, 0o600, &bolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		return "", err
	}
	if err := bolt.Compact(dst, src, compactTxBytes); err != nil {
		dst.Close()
		os.Remove(to)
		return "", err
	}
	return to, dst.Close()
}
