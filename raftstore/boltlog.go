package raftstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"

	"quorate/raftstore/wal"
)

const (
	// boltFile is the log of earlier versions, boltAside its name once it was converted.
	boltFile  = "raft.db"
	boltAside = "raft.db.converted"
	// logBeing is a log that is being made of it.
	logBeing = "log.converting"
)

// convertBolt makes a log of an earlier version's. That one is kept until the new one is complete and on the disk, and
// aside after that. A process that is killed in between begins again, or has only the rename left to do.
func convertBolt(dir string, log *slog.Logger) (err error) {
	old := filepath.Join(dir, boltFile)
	if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a file that was cut short
	defer func() {
		if p := recover(); p != nil { // bbolt panics on a damaged file
			err = fmt.Errorf("%v", p)
		}
		if err != nil {
			err = fmt.Errorf("%w: convert the log %s: %w (the old file is as it was)", ErrDisk, old, err)
		}
	}()
	was, err := readBolt(old)
	if err != nil {
		return err
	}
	dst := filepath.Join(dir, logDir)
	if wal.Exists(dst) {
		if err := was.sameAs(dst); err != nil {
			return err
		}
	} else if err := was.writeTo(dir, dst); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(old, filepath.Join(dir, boltAside)), syncFolder(dir)); err != nil {
		return err
	}
	log.Info("the log was converted; the old file may be deleted", "old", filepath.Join(dir, boltAside), "entries", len(was.entries))
	return nil
}

// boltLog is what an earlier version's log holds.
type boltLog struct {
	entries []*raft.Log
	values  map[string][]byte
}

func readBolt(path string) (b boltLog, err error) {
	opts := bolt.Options{ReadOnly: true, Timeout: 5 * time.Second}
	if b.values, err = boltValues(path, opts); err != nil {
		return b, err
	}
	s, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &opts})
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	first, err := s.FirstIndex()
	if err != nil || first == 0 {
		return b, err
	}
	last, err := s.LastIndex()
	if err != nil {
		return b, err
	}
	for i := first; i <= last; i++ {
		l := new(raft.Log)
		switch err := s.GetLog(i, l); {
		case errors.Is(err, raft.ErrLogNotFound):
			b.entries = nil // a snapshot that was installed left this gap: what is before it is in the snapshot
			continue
		case err != nil:
			return b, fmt.Errorf("read log entry %d of %d..%d: %w", i, first, last, err)
		}
		b.entries = append(b.entries, l)
	}
	return b, nil
}

// boltValues reads the term, the vote, and what else is beside the entries.
func boltValues(path string, opts bolt.Options) (map[string][]byte, error) {
	db, err := bolt.Open(path, 0o600, &opts)
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	err = db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("conf"))
		if b == nil || tx.Bucket([]byte("logs")) == nil {
			return errors.New("this is no log")
		}
		return b.ForEach(func(k, v []byte) error {
			if string(k) != string(keyProbe) {
				values[string(k)] = append([]byte(nil), v...)
			}
			return nil
		})
	})
	return values, errors.Join(err, db.Close())
}

// writeTo makes the new log under another name and gives it its own when it is complete.
func (b boltLog) writeTo(dir, dst string) error {
	being := filepath.Join(dir, logBeing)
	if err := os.RemoveAll(being); err != nil {
		return err
	}
	if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) { // it holds no log
		return err
	}
	w, err := wal.Open(being, wal.Options{})
	if err != nil {
		return err
	}
	err = w.Append(b.entries)
	for k, v := range b.values {
		err = errors.Join(err, w.Set([]byte(k), v))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(being, dst), syncFolder(dir))
}

// sameAs compares it with the log that stands beside it. Only a process that was killed between the two renames leaves
// both, and then they are the same; else an older program ran here since, or a file was put back, and nobody but the operator knows which counts.
func (b boltLog) sameAs(dst string) (err error) {
	w, err := wal.Open(dst, wal.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	same := true
	n := 0
	w.Values(func(k string, v []byte) {
		n++
		same = same && string(b.values[k]) == string(v)
	})
	first, last := w.Bounds()
	same = same && n == len(b.values) && last-first+1 == uint64(max(len(b.entries), 1))
	for _, l := range b.entries {
		var e raft.Log
		same = same && w.Entry(l.Index, &e) == nil && e.Term == l.Term
	}
	if !same {
		return fmt.Errorf("%s is there too, and differs; remove the one that is older, or empty the folder so that this member joins anew", dst)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
