package raftstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// ErrSnapshotFile says that a file is not a whole snapshot.
var ErrSnapshotFile = errors.New("not a usable snapshot")

// pageUnit is what the size of a database file is a multiple of: it tells whether a hash follows the data, as in etcd.
const pageUnit = 512

// SnapshotStatus is what a snapshot file holds, in etcdctl's terms.
type SnapshotStatus struct {
	Hash      uint32 `json:"hash"`
	Revision  int64  `json:"revision"`
	TotalKey  int    `json:"totalKey"`
	TotalSize int64  `json:"totalSize"`
}

// ReadSnapshotStatus reads a snapshot file, ours or etcd's, with its hash checked when it has one.
func ReadSnapshotStatus(file string) (st SnapshotStatus, err error) {
	size, hashed, err := checkSize(file)
	if err != nil {
		return st, err
	}
	if hashed {
		if err := checkHash(file, size); err != nil {
			return st, err
		}
	}
	err = viewSnapshot(file, size, func(tx *bolt.Tx) error {
		st.TotalSize = tx.Size()
		return st.read(tx)
	})
	return st, err
}

// read counts as etcdctl does: the hash is over all buckets, the number over their entries.
func (st *SnapshotStatus) read(tx *bolt.Tx) error {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	err := tx.ForEach(func(name []byte, b *bolt.Bucket) error {
		_, _ = h.Write(name) // a hash takes all
		return b.ForEach(func(k, v []byte) error {
			_, _ = h.Write(k)
			_, _ = h.Write(v)
			st.TotalKey++
			if bytes.Equal(name, schema.Key.Name()) && len(k) >= 8 {
				st.Revision = int64(binary.BigEndian.Uint64(k))
			}
			return nil
		})
	})
	st.Hash = h.Sum32()
	return err
}

// checkSize says how much of a file is data and whether a hash follows.
func checkSize(file string) (data int64, hashed bool, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, false, err
	}
	n := info.Size()
	switch {
	case n >= pageUnit && n%pageUnit == 0:
		return n, false, nil
	case n >= pageUnit && n%pageUnit == sha256.Size:
		return n - sha256.Size, true, nil
	}
	return 0, false, fmt.Errorf("%w: %s has %d bytes, which no whole snapshot has: it was cut short, or is another kind of file; "+
		"take another copy, or save a snapshot anew", ErrSnapshotFile, file, n)
}

func checkHash(file string, size int64) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, size); err != nil {
		return err
	}
	want, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return fmt.Errorf("%w: the hash of %s does not match its data: the file is damaged; take another copy, or save a snapshot anew",
			ErrSnapshotFile, file)
	}
	return nil
}

// viewSnapshot reads the database in the first size bytes of a file. A page beyond the end of the file would end the
// process, so the size that the database claims is compared first.
func viewSnapshot(file string, size int64, read func(*bolt.Tx) error) (err error) {
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%w: %s is no snapshot of etcd's or ours (%w)", ErrSnapshotFile, file, err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a page number may point anywhere
	defer func() {
		if p := recover(); p != nil { // bbolt's answer to pages that make no sense
			err = fmt.Errorf("%w: %s is damaged (%v); take another copy, or save a snapshot anew", ErrSnapshotFile, file, p)
			return
		}
		err = errors.Join(err, db.Close())
	}()
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("%w: %s has %d of %d bytes: it was cut short; take another copy, or save a snapshot anew",
				ErrSnapshotFile, file, size, tx.Size())
		}
		if tx.Bucket(schema.Key.Name()) == nil {
			return fmt.Errorf("%w: %s has no keys' bucket: it is no snapshot of etcd's or ours", ErrSnapshotFile, file)
		}
		return read(tx)
	})
}
