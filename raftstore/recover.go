package raftstore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

// RecoverQuorumLost makes a cluster of the survivors after most voters are lost for good. It works on the folder of a
// store that is not running. Run it on every survivor with the same list, then start them; hosts that are not in the list
// must be emptied before they start again.
//
// It is for an operator alone to decide. Entries that the lost members acknowledged and no survivor has are gone, entries
// that were never acknowledged may come into force, and survivors may differ in what they have, until one of them leads.
// The cluster gets a new id, by which members that were given up and come back all the same are refused, and by which
// clients can tell.
func RecoverQuorumLost(o Options, survivors []Member) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	var id identity
	path := filepath.Join(o.Dir, identityFile)
	if err := readJSON(path, &id); err != nil {
		return fmt.Errorf("read the identity: %w", err)
	}
	if err := checkSurvivors(id, survivors); err != nil {
		return err
	}
	if err := recoverRaft(o, id, survivors); err != nil {
		return fmt.Errorf("recover %s: %w", o.Dir, err)
	}
	id.ClusterID = successorID(id.ClusterID, survivors)
	id.Founders = nil
	return writeJSON(path, id)
}

func checkSurvivors(id identity, survivors []Member) error {
	if !id.Started {
		return errors.New("raftstore: this folder has no data to recover")
	}
	self := false
	for _, m := range survivors {
		if m.ID == 0 || m.PeerAddr == "" {
			return errors.New("raftstore: every survivor needs an id and a peer address")
		}
		self = self || m.ID == id.ID
	}
	if !self {
		return fmt.Errorf("raftstore: the survivors do not name this member, %s", FormatID(id.ID))
	}
	return nil
}

// successorID derives the new cluster id, so that every survivor comes to the same one.
func successorID(old uint64, survivors []Member) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "quorate successor of %x", old)
	for _, m := range sortedMembers(append([]Member(nil), survivors...)) {
		fmt.Fprintf(h, " %x@%s", m.ID, m.PeerAddr)
	}
	return max(1, binary.BigEndian.Uint64(h.Sum(nil))>>1)
}

func recoverRaft(o Options, id identity, survivors []Member) (err error) {
	var failure error
	fail := func(err error) { failure = errors.Join(failure, err) }
	log := o.Logger.With("component", "raftstore")
	logs, err := openLogStore(o.Dir, logOptions{log: log, fail: fail})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.close()) }()
	st, err := newState(filepath.Join(o.Dir, cacheDir), newZap(log, func(msg string) { fail(errors.New(msg)) }),
		func() time.Duration { return 0 }, o.Auth, hooks{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close(), os.RemoveAll(filepath.Join(o.Dir, cacheDir))) }()
	// In a goroutine of its own, for a failing state machine ends the one that it runs in.
	err = bounded(time.Hour, "recover", func() error { return recoverCluster(o, log, id, logs, st, survivors) })
	return errors.Join(err, failure)
}

func recoverCluster(o Options, log *slog.Logger, id identity, logs *logStore, st *state, survivors []Member) error {
	cfg := raft.DefaultConfig()
	cfg.LocalID = serverID(id.ID)
	cfg.Logger = &hcLogger{log: log}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(o.Dir, snapshotDir), retainSnapshots, cfg.Logger)
	if err != nil {
		return err
	}
	var conf raft.Configuration
	for _, m := range survivors {
		conf.Servers = append(conf.Servers, raft.Server{
			Suffrage: raft.Voter, ID: serverID(m.ID), Address: raftAddr(m.ID, m.PeerAddr),
		})
	}
	f := &fsm{state: st, forwards: newForwards(), committed: func(_, _ uint64) {}, fail: func(err error) { log.Error("recovery failed", "error", err) }}
	_, trans := raft.NewInmemTransport(raftAddr(id.ID, id.PeerAddr))
	return raft.RecoverCluster(cfg, f, logs, logs, snaps, trans, conf)
}
