package raftstore

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"

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
func RestoreSnapshot(o Options, file string) error { return restore(o, file, true, nil) }

// RestoreDatabase is RestoreSnapshot for a file without a hash, as one that was copied out of an etcd's data folder.
func RestoreDatabase(o Options, file string) error { return restore(o, file, false, nil) }

// Place is where a restored folder stands in a cluster of several that are all restored from one file.
type Place struct {
	Self, ClusterID uint64
	Members         []Member // their ids and peer addresses, Self among them; all vote
}

// RestoreMember is RestoreDatabase for one of several members that are restored from the same file, as `etcdutl snapshot restore` does it on each
// host of a cluster to be.
func RestoreMember(o Options, file string, p Place) error { return restore(o, file, false, &p) }

func restore(o Options, file string, needHash bool, p *Place) error {
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
	if p == nil {
		if p, err = alone(addr); err != nil {
			return err
		}
	}
	return foundFromSnapshot(o, *p, data)
}

// alone is the place of the only member of a new cluster.
func alone(addr string) (*Place, error) {
	self, err := newID()
	if err != nil {
		return nil, err
	}
	cluster, err := newID()
	return &Place{Self: self, ClusterID: cluster, Members: []Member{{ID: self, PeerAddr: addr}}}, err
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

// foundFromSnapshot writes the folder of a member that has the data as its first Raft snapshot.
func foundFromSnapshot(o Options, p Place, data string) error {
	machine, err := machineID(o)
	if err != nil {
		return err
	}
	self := slices.IndexFunc(p.Members, func(m Member) bool { return m.ID == p.Self })
	if self < 0 {
		return fmt.Errorf("raftstore: %s is not among the members to be restored", FormatID(p.Self))
	}
	id := identity{ID: p.Self, ClusterID: p.ClusterID, MachineID: machine, PeerAddr: p.Members[self].PeerAddr, Started: true}
	logs, err := openLogStore(o.Dir, logOptions{log: o.Logger, fail: func(error) {}})
	if err != nil {
		return err
	}
	err = errors.Join(logs.SetUint64(keyCurrentTerm, restoredTerm), writeRaftSnapshot(o, p, data), logs.close())
	if err != nil {
		return err
	}
	return id.save(o.Dir) // last: a folder without it is refused
}

func writeRaftSnapshot(o Options, p Place, data string) error {
	snaps, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(o.Dir, snapshotDir), retainSnapshots, &hcLogger{log: o.Logger})
	if err != nil {
		return err
	}
	var conf raft.Configuration
	for _, m := range p.Members {
		conf.Servers = append(conf.Servers, raft.Server{Suffrage: raft.Voter, ID: serverID(m.ID), Address: raftAddr(m.ID, m.PeerAddr)})
	}
	_, trans := raft.NewInmemTransport("")
	sink, err := snaps.Create(raft.SnapshotVersionMax, restoredIndex, restoredTerm, conf, restoredIndex, trans)
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
