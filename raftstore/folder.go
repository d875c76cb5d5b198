package raftstore

import (
	"fmt"
	"path/filepath"
)

// Folder is what a store folder says of itself.
type Folder struct {
	ID, ClusterID uint64
	PeerAddr      string
	ThisMachine   bool // it was made on this machine
}

// FolderFiles are the names in a store folder that has not run yet, the one that makes it a store's last.
func FolderFiles() []string { return []string{logDir, snapshotDir, promiseFile, identityFile} }

// ReadFolder reads whose folder it is; fs.ErrNotExist when it is nobody's yet.
func ReadFolder(dir string) (Folder, error) {
	var id identity
	if err := readJSON(filepath.Join(dir, identityFile), &id); err != nil {
		return Folder{}, fmt.Errorf("raftstore: read the folder's identity: %w", err)
	}
	machine, err := machineID(Options{})
	if err != nil {
		return Folder{}, err
	}
	return Folder{ID: id.ID, ClusterID: id.ClusterID, PeerAddr: id.PeerAddr, ThisMachine: machine == id.MachineID}, nil
}
