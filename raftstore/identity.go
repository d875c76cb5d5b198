package raftstore

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	identityFile = "identity.json"
	machineFile  = "/etc/machine-id"
)

// identity is what a store folder knows of itself. It is written once when the folder is made, and again when the member
// joins its cluster.
type identity struct {
	ID        uint64 `json:"id"`
	MachineID string `json:"machine_id"`
	PeerAddr  string `json:"peer_addr"`
	// ClusterID is set once this node belongs to a cluster: from then on the folder has data and never founds.
	ClusterID uint64 `json:"cluster_id,omitempty"`
	// Founders is the set by which the cluster was founded, kept on its founders.
	Founders *FounderSet `json:"founders,omitempty"`
	// Started is set once Raft has run in this folder: its log and votes must be there from then on.
	Started bool `json:"started,omitempty"`
}

func (id identity) member() bool { return id.ClusterID != 0 }

// loadIdentity reads the folder's identity, or gives a new folder one.
func loadIdentity(o Options, addr string) (identity, error) {
	machine, err := machineID(o)
	if err != nil {
		return identity{}, err
	}
	var id identity
	path := filepath.Join(o.Dir, identityFile)
	switch err := readJSON(path, &id); {
	case errors.Is(err, fs.ErrNotExist):
		return newIdentity(o.Dir, machine, addr)
	case err != nil:
		return identity{}, err
	}
	if err := refuseLostLog(o.Dir, id); err != nil {
		return identity{}, err
	}
	if id.MachineID == machine && id.PeerAddr == addr {
		return id, nil
	}
	if !o.AdoptFolder {
		return identity{}, fmt.Errorf("%w: %s was made on machine %s for %s, this is machine %s at %s; "+
			"empty the folder to join with an identity of its own, or start once with adoption if the host itself moved "+
			"and the original will never run again", ErrForeignFolder, o.Dir, id.MachineID, id.PeerAddr, machine, addr)
	}
	id.MachineID, id.PeerAddr = machine, addr
	return id, writeJSON(path, id)
}

func newIdentity(dir, machine, addr string) (identity, error) {
	if err := refuseOrphans(dir); err != nil {
		return identity{}, err
	}
	n, err := newID()
	if err != nil {
		return identity{}, err
	}
	id := identity{ID: n, MachineID: machine, PeerAddr: addr}
	return id, writeJSON(filepath.Join(dir, identityFile), id)
}

// refuseOrphans refuses a folder that holds a log but no identity: something removed the one and left the other.
func refuseOrphans(dir string) error {
	if hasLog(dir) {
		return fmt.Errorf("raftstore: %s holds a log but no %s; restore that file, or empty the folder to join anew",
			dir, identityFile)
	}
	return nil
}

// refuseLostLog refuses a folder whose log is gone: the member has promised its votes and acknowledged entries with it,
// and must not start again under the same id without them.
func refuseLostLog(dir string, id identity) error {
	if id.Started && !hasLog(dir) {
		return fmt.Errorf("%w: %s has lost its %s; restore it, or empty the folder to join anew with another id",
			ErrDisk, dir, logDir)
	}
	return nil
}

func (id identity) save(dir string) error { return writeJSON(filepath.Join(dir, identityFile), id) }

func machineID(o Options) (string, error) {
	if o.MachineID != "" {
		return o.MachineID, nil
	}
	b, err := os.ReadFile(machineFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "unknown", nil // the address alone must tell copies apart
	}
	if err != nil {
		return "", fmt.Errorf("read machine id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// newID draws a random id that is positive as an int64 too, because etcd's clients show some ids as such.
// It has sixteen digits as text, for etcdctl pads shorter ones.
func newID() (uint64, error) {
	var b [8]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("draw an id: %w", err)
		}
		if n := binary.BigEndian.Uint64(b[:]) >> 1; n>>60 != 0 {
			return n, nil
		}
	}
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file so that after a crash either the old or the new text is there, whole.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	tmp := path + ".tmp"
	if err := writeSynced(tmp, b); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, b []byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}
