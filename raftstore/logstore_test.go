package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/raftstore/wal"
)

func command(i, term uint64) *raft.Log {
	return &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: fmt.Append(nil, "entry ", i, " of term ", term)}
}

// has compares a log's entries with their terms, from its first index on.
func has(t *testing.T, s *logStore, first uint64, terms ...uint64) {
	t.Helper()
	gotFirst, gotLast := s.bounds()
	if last := first + uint64(len(terms)) - 1; gotFirst != first || gotLast != last {
		t.Fatalf("the log has entries %d to %d, want %d to %d", gotFirst, gotLast, first, last)
	}
	for i, term := range terms {
		var l raft.Log
		if err := s.GetLog(first+uint64(i), &l); err != nil || l.Term != term || !bytes.Equal(l.Data, command(l.Index, term).Data) {
			t.Fatalf("entry %d: %+v, %v; want term %d", first+uint64(i), l, err, term)
		}
	}
}

// openLeading opens a log that does not wait for its writes.
func openLeading(t *testing.T, dir string, b *brake) *logStore {
	t.Helper()
	s, failed := openTestLog(t, dir, b.write)
	s.overlap = func() bool { return true }
	t.Cleanup(func() {
		b.hang.Store(false)
		if *failed != nil {
			t.Error(*failed)
		}
	})
	return s
}

// TestSavedWaitsForTheDisk: what is stored early can be read and is not saved.
func TestSavedWaitsForTheDisk(t *testing.T) {
	var b brake
	dir := t.TempDir()
	s := openLeading(t, dir, &b)
	// That write is over before the disk hangs: it would take the next entries along.
	if err := errors.Join(s.StoreLogs([]*raft.Log{command(1, 1)}), s.saved(1)); err != nil {
		t.Fatal(err)
	}
	b.hang.Store(true)
	for i := uint64(2); i <= 4; i++ {
		if err := s.StoreLogs([]*raft.Log{command(i, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	has(t, s, 1, 1, 1, 1, 1)
	done := make(chan error)
	go func() { done <- s.saved(4) }()
	waitFor(t, "somebody to wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.moved != nil
	})
	waitFor(t, "the write to hang", func() bool { return s.stalledFor() > 0 })
	select {
	case err := <-done:
		t.Fatalf("saved while the disk hangs: %v", err)
	default:
	}
	copied := t.TempDir() // what a power cut would leave
	if err := os.CopyFS(filepath.Join(copied, logDir), os.DirFS(filepath.Join(dir, logDir))); err != nil {
		t.Fatal(err)
	}
	b.hang.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	cut, _ := openTestLog(t, copied, nil)
	defer cut.close()
	if first, last := cut.bounds(); last == 4 {
		t.Errorf("entries %d to %d were there before the disk wrote", first, last)
	}
	again, _ := openTestLog(t, dir, nil)
	defer again.close()
	has(t, again, 1, 1, 1, 1, 1)
}

// TestEntriesThatMayNotBeStoredEarly: a configuration counts at once and may leave one voter; a follower's return is its answer.
func TestEntriesThatMayNotBeStoredEarly(t *testing.T) {
	var b brake
	s := openLeading(t, t.TempDir(), &b)
	defer s.close()
	for i, what := range []func(*raft.Log){
		func(l *raft.Log) { l.Type = raft.LogConfiguration },
		func(*raft.Log) { s.overlap = func() bool { return false } },
		func(*raft.Log) { s.overlap = nil },
	} {
		l := command(uint64(i+1), 1)
		what(l)
		b.fail.Store(true)
		if s.StoreLogs([]*raft.Log{l}) == nil {
			t.Errorf("case %d: stored without the disk", i)
		}
		b.fail.Store(false)
		if err := s.StoreLogs([]*raft.Log{l}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogBehindABrokenDisk: entries that Raft takes for stored stay until they can be written or are replaced.
func TestLogBehindABrokenDisk(t *testing.T) {
	var b brake
	dir := t.TempDir()
	s := openLeading(t, dir, &b)
	if err := errors.Join(s.StoreLogs([]*raft.Log{command(1, 1), command(2, 1)}), s.saved(2)); err != nil {
		t.Fatal(err)
	}
	b.fail.Store(true)
	if err := s.StoreLogs([]*raft.Log{command(3, 1), command(4, 1)}); err != nil {
		t.Fatal(err)
	}
	if s.saved(3) == nil || !s.cannotSave() {
		t.Fatal("saved on a broken disk")
	}
	if s.StoreLogs([]*raft.Log{command(5, 1)}) == nil {
		t.Error("stored behind entries that could not be")
	}
	has(t, s, 1, 1, 1, 1, 1)
	b.fail.Store(false)
	if err := s.probe(); err != nil { // as diskGuard does each second
		t.Fatal(err)
	}
	if s.cannotSave() || s.saved(4) != nil {
		t.Error("not saved on a disk that works again")
	}
	b.fail.Store(true)
	if err := s.StoreLogs([]*raft.Log{command(5, 1), command(6, 1)}); err != nil {
		t.Fatal(err)
	}
	if s.saved(6) == nil {
		t.Fatal("saved on a broken disk")
	}
	b.fail.Store(false)
	// Another leader, of term 2, replaces entries from 4 on.
	if err := s.DeleteRange(4, 6); err != nil {
		t.Fatal(err)
	}
	if s.cannotSave() || s.saved(5) == nil {
		t.Error("waits for entries that are gone")
	}
	s.overlap = nil
	if err := s.StoreLogs([]*raft.Log{command(4, 2), command(5, 2)}); err != nil {
		t.Fatal(err)
	}
	has(t, s, 1, 1, 1, 1, 2, 2)
	if err := s.DeleteRange(1, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteRange(4, 4); err == nil {
		t.Error("deleted from the middle")
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openTestLog(t, dir, nil)
	defer s.close()
	has(t, s, 3, 1, 2, 2)
}

// TestManyEntriesWaitForTheDisk: what is not written is bounded.
func TestManyEntriesWaitForTheDisk(t *testing.T) {
	var b brake
	s := openLeading(t, t.TempDir(), &b)
	b.hang.Store(true)
	stored := make(chan uint64, 10*maxUnsaved)
	go func() {
		defer close(stored)
		for i := uint64(1); i <= 3*maxUnsaved; i++ {
			if err := s.StoreLogs([]*raft.Log{command(i, 1)}); err != nil {
				t.Error(err)
			}
			stored <- i
		}
	}()
	waitFor(t, "as many as may wait", func() bool { return len(stored) == maxUnsaved })
	b.hang.Store(false)
	for range stored {
	}
	if err := errors.Join(s.saved(3*maxUnsaved), s.close()); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsCommittedBeforeTheLeadersDiskHasIt: the followers have an entry, the leader's disk hangs, and Raft does not hear of the
// followers' answers.
func TestNothingIsCommittedBeforeTheLeadersDiskHasIt(t *testing.T) {
	brakes := make([]brake, 3)
	c := started(t, 3, func(i int, o *Options) { o.hooks.beforeWrite, o.ElectionTimeout = brakes[i].write, 2*time.Second })
	lead := c.leader()
	c.put(lead, "k", "v")
	c.settle()
	s := c.store(lead)
	brakes[lead].hang.Store(true)
	defer brakes[lead].hang.Store(false)
	_, before := s.logs.bounds()
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte("w")})
		done <- err
	}()
	for _, i := range c.others(lead) {
		waitFor(t, "the follower to have the entry", func() bool {
			_, last := c.store(i).logs.bounds()
			return last > before
		})
	}
	waitFor(t, "a follower's answer to wait", func() bool {
		s.logs.mu.Lock()
		defer s.logs.mu.Unlock()
		return s.logs.moved != nil
	})
	if at := s.node.Load().raft.CommitIndex(); at > before {
		t.Errorf("entry %d is committed, and the leader's log ends on the disk with %d", at, before)
	}
	select {
	case err := <-done:
		t.Errorf("the put ended: %v", err)
	default:
	}
	brakes[lead].hang.Store(false)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := c.get(lead, "k"); got != "w" {
		t.Errorf("read %q", got)
	}
}

func TestOnlyALeaderOfOthersStoresEarly(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader()
	for i := range 3 {
		if got := c.store(i).node.Load().overlap(); got != (i == lead) {
			t.Errorf("member %d, where %d leads: %v", i, lead, got)
		}
	}
	one := started(t, 1, nil)
	if one.store(0).node.Load().overlap() {
		t.Error("the only voter does not wait for its disk")
	}
}

// TestMissingSnapshotIsRefused: the log does not reach back to where nothing was.
func TestMissingSnapshotIsRefused(t *testing.T) {
	c := started(t, 1, shortLog)
	for n := range 100 {
		c.put(0, "k", fmt.Sprint(n))
	}
	c.truncate(0)
	c.kill(0)
	o := c.members[0].opts
	if err := os.RemoveAll(filepath.Join(o.Dir, snapshotDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrDisk) {
		t.Errorf("opened without its snapshot: %v", err)
	}
}

// toBolt turns a folder's log into one of an earlier version.
func toBolt(t *testing.T, dir string) {
	t.Helper()
	w, err := wal.Open(filepath.Join(dir, logDir), wal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list []*raft.Log
	first, last := w.Bounds()
	for i := first; i <= last && i > 0; i++ {
		l := new(raft.Log)
		if err := w.Entry(i, l); err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	values := map[string][]byte{}
	w.Values(func(k string, v []byte) { values[k] = v })
	writeBolt(t, dir, values, list...)
	if err := errors.Join(w.Close(), os.RemoveAll(filepath.Join(dir, logDir))); err != nil {
		t.Fatal(err)
	}
}

func writeBolt(t *testing.T, dir string, values map[string][]byte, entries ...*raft.Log) {
	t.Helper()
	b, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, boltFile)})
	if err != nil {
		t.Fatal(err)
	}
	err = b.StoreLogs(entries)
	for k, v := range values {
		err = errors.Join(err, b.Set([]byte(k), v))
	}
	if err := errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
}

// A folder of an earlier version opens with all that it had, and the old file stays, aside.
func TestLogOfAnEarlierVersionIsConverted(t *testing.T) {
	c := started(t, 3, nil)
	for n := range 50 {
		c.put(0, fmt.Sprint("k", n), "v")
	}
	c.settle()
	rev := c.store(0).Header().Revision
	for i := range 3 {
		c.kill(i)
		toBolt(t, c.members[i].opts.Dir)
	}
	c.openAll()
	c.waitReady(0, 1, 2)
	for i := range 3 {
		if got := c.get(i, "k49"); got != "v" || c.store(i).Header().Revision != rev {
			t.Errorf("member %d: %q at revision %d, want revision %d", i, got, c.store(i).Header().Revision, rev)
		}
		dir := c.members[i].opts.Dir
		if _, err := os.Stat(filepath.Join(dir, boltAside)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, boltFile)); err == nil {
			t.Error("the old file is still in its place")
		}
	}
	c.put(0, "k", "w")
	c.sameHash()
}

func TestConversionSurvivesKills(t *testing.T) {
	values := map[string][]byte{
		string(keyCurrentTerm): {0, 0, 0, 0, 0, 0, 0, 3}, string(keyVote): append([]byte{0, 0, 0, 0, 0, 0, 0, 3}, "a"...),
		string(keyProbe): {0, 0, 0, 0, 0, 0, 0, 9},
	}
	dir := t.TempDir()
	old := filepath.Join(dir, boltFile)
	writeBolt(t, dir, values, command(1, 1), command(2, 1), command(7, 2), command(8, 3)) // 3 to 6 came with a snapshot
	before, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		s, _ := openTestLog(t, dir, nil)
		defer s.close()
		has(t, s, 7, 2, 3)
		term, err1 := s.GetUint64(keyCurrentTerm)
		voted, err2 := s.GetUint64(keyLastVoteTerm)
		who, err3 := s.Get(keyLastVoteCand)
		if err := errors.Join(err1, err2, err3); err != nil || term != 3 || voted != 3 || string(who) != "a" {
			t.Errorf("%s: term %d, vote in %d for %s, %v", when, term, voted, who, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, boltAside)); err != nil || !bytes.Equal(b, before) {
			t.Errorf("%s: the old file is not as it was: %v", when, err)
		}
	}
	// Killed while it was being made: what there is of it counts for nothing.
	being := filepath.Join(dir, logBeing)
	if err := errors.Join(os.Mkdir(being, 0o700), os.WriteFile(filepath.Join(being, "0000000000000001.wal"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	check("killed while it was made")
	// Killed between the two renames.
	if err := os.Rename(filepath.Join(dir, boltAside), old); err != nil {
		t.Fatal(err)
	}
	check("killed between the renames")
	check("opened again")
	// An older program ran here since, or somebody put the file back.
	s, _ := openTestLog(t, dir, nil)
	if err := errors.Join(s.StoreLogs([]*raft.Log{command(9, 3)}), s.close(), os.WriteFile(old, before, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := openLogStore(dir, logOptions{log: testLogger(t), fail: func(error) {}}); !errors.Is(err, ErrDisk) {
		t.Errorf("chose one of two logs: %v", err)
	}
	if b, err := os.ReadFile(old); err != nil || !bytes.Equal(b, before) {
		t.Errorf("the old file is not as it was: %v", err)
	}
	if err := os.Remove(old); err != nil {
		t.Fatal(err)
	}
	s, _ = openTestLog(t, dir, nil)
	defer s.close()
	has(t, s, 7, 2, 3, 3)
}

// A file that is no log of an earlier version, or is damaged, is refused by name and kept.
func TestConversionRefusesWhatItCannotRead(t *testing.T) {
	good := t.TempDir()
	var list []*raft.Log
	for i := range uint64(500) {
		list = append(list, command(i+1, 1))
	}
	writeBolt(t, good, nil, list...)
	whole, err := os.ReadFile(filepath.Join(good, boltFile))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	for i := 8192; i < len(damaged); i++ {
		damaged[i] = 0xa5
	}
	for what, b := range map[string][]byte{"text": []byte("no log"), "half": whole[:len(whole)/2], "damaged": damaged} {
		dir := t.TempDir()
		path := filepath.Join(dir, boltFile)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openLogStore(dir, logOptions{log: testLogger(t), fail: func(error) {}})
		if !errors.Is(err, ErrDisk) || !bytes.Contains([]byte(err.Error()), []byte(path)) {
			t.Errorf("%s: %v", what, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: the file is not as it was: %v", what, err)
		}
		if wal.Exists(filepath.Join(dir, logDir)) {
			t.Errorf("%s: a log was made", what)
		}
	}
}
