package raftstore

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/server/v3/storage/backend"
)

// ErrNotEmpty is returned by RestoreSnapshot for a store folder that is in use.
var ErrNotEmpty = errors.New("raftstore: the store folder is not empty")

// The place of a restored snapshot in the new cluster's log: right behind the configuration that founding would write.
const restoredIndex, restoredTerm = 1, 1

// RestoreSnapshot makes a new store folder from a snapshot file: one of ours, or one that etcdctl saved from an etcd of
// version 3.4 or later. The folder becomes the only member of a new cluster; start it, and let the other hosts, with empty
// folders, join it. Options.Advertise, or Options.Listen with a port, must be the address under which it will start.
//
// The cluster gets a new id, so no client takes it for the one that the snapshot is of. Leases begin afresh.
func RestoreSnapshot(o Options, file string) error { return restore(o, file, true) }

// RestoreDatabase is RestoreSnapshot for a file without a hash, as one that was copied out of an etcd's data folder.
func RestoreDatabase(o Options, file string) error { return restore(o, file, false) }

func restore(o Options, file string, needHash bool) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	addr := o.Advertise
	if addr == "" {
		addr = o.Listen
	}
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
		return fmt.Errorf("raftstore: restoring needs the address under which the member will start, not %q", addr)
	}
	if list, err := os.ReadDir(o.Dir); err == nil && len(list) > 0 {
		return fmt.Errorf("%w: %s", ErrNotEmpty, o.Dir)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	data := filepath.Join(o.Dir, "restoring")
	defer os.Remove(data)
	if err := unpackSnapshot(file, data, needHash); err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	return foundFromSnapshot(o, addr, data)
}

// unpackSnapshot copies a snapshot without the checksum that etcd appends, having checked it, and makes sure that it is
// what it should be.
func unpackSnapshot(from, to string, needHash bool) error {
	size, hashed, err := checkSize(from)
	if err != nil {
		return err
	}
	switch {
	case hashed:
		err = checkHash(from, size)
	case needHash:
		err = fmt.Errorf("%w: %s has no hash: it was cut short, or is a database file and not what snapshot save writes; "+
			"take another copy, or say --skip-hash-check if it is such a file", ErrSnapshotFile, from)
	}
	if err != nil {
		return err
	}
	if err := copySynced(from, to, size); err != nil {
		return err
	}
	if err := viewSnapshot(to, size, func(tx *bolt.Tx) error { return (&SnapshotStatus{}).read(tx) }); err != nil {
		return err
	}
	db, err := bolt.Open(to, 0o600, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshotFile, err)
	}
	return errors.Join(db.Update(forgetCluster), db.Close())
}

// copySynced copies the first bytes of a file.
func copySynced(from, to string, size int64) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if _, err := io.CopyN(dst, src, size); err != nil {
		return err
	}
	return dst.Sync()
}

// forgetCluster drops what is true only in the cluster that the data comes from: its log indexes, its id, its members.
func forgetCluster(tx *bolt.Tx) error {
	for _, b := range []backend.Bucket{stateBucket, grantBucket, memberBucket} {
		if err := tx.DeleteBucket(b.Name()); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
			return err
		}
	}
	return nil
}

// foundFromSnapshot writes the folder of a single member that has the data as its first Raft snapshot.
func foundFromSnapshot(o Options, addr, data string) error {
	machine, err := machineID(o)
	if err != nil {
		return err
	}
	ids := [2]uint64{}
	for i := range ids {
		if ids[i], err = newID(); err != nil {
			return err
		}
	}
	id := identity{ID: ids[0], ClusterID: ids[1], MachineID: machine, PeerAddr: addr, Started: true}
	logs, err := openLogStore(filepath.Join(o.Dir, logFile), o.Logger, func(error) {}, nil)
	if err != nil {
		return err
	}
	err = errors.Join(logs.SetUint64(keyCurrentTerm, restoredTerm), writeRaftSnapshot(o, id, data), logs.close())
	if err != nil {
		return err
	}
	return id.save(o.Dir) // last: a folder without it is refused
}

func writeRaftSnapshot(o Options, id identity, data string) error {
	snaps, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(o.Dir, snapshotDir), retainSnapshots, &hcLogger{log: o.Logger})
	if err != nil {
		return err
	}
	self := raft.Server{Suffrage: raft.Voter, ID: serverID(id.ID), Address: raftAddr(id.ID, id.PeerAddr)}
	_, trans := raft.NewInmemTransport(self.Address)
	sink, err := snaps.Create(raft.SnapshotVersionMax, restoredIndex, restoredTerm,
		raft.Configuration{Servers: []raft.Server{self}}, restoredIndex, trans)
	if err != nil {
		return err
	}
	f, err := os.Open(data)
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	defer f.Close()
	if _, err := io.Copy(sink, f); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}
