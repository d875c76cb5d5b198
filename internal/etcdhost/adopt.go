package etcdhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"quorate/raftstore"
)

// What is in a data folder: etcd's part; where ours is made of it; and what etcd's part is called afterwards.
const (
	etcdFolder   = "member"
	makingFolder = "importing"
	keptFolder   = "member.etcd"
)

// adopt takes over a data folder that `etcdutl snapshot restore` (or etcdctl) has made, as an etcd does at its first start. The folder of an
// etcd that has run since is refused: what it has committed is in its log, which only an etcd can read whole.
//
// Ours is made in a folder of its own and moved up, its identity last; then etcd's part is renamed. Whatever is cut short is done again.
func (h *host) adopt(o raftstore.Options) error {
	dir := h.c.DataDir
	if _, err := os.Stat(filepath.Join(dir, etcdFolder)); err != nil {
		return nil
	}
	making := filepath.Join(dir, makingFolder)
	_, err := os.Stat(making)
	begun := err == nil
	if _, err := raftstore.ReadFolder(dir); err == nil {
		if !begun {
			return refused(dir, errors.New("there is a store of Quorate's beside it"))
		}
		return finish(dir)
	}
	p, err := h.restored(o.Advertise)
	if err != nil {
		return refused(dir, err)
	}
	if begun {
		if err := forget(dir); err != nil {
			return err
		}
	}
	o.Dir = making
	if err := raftstore.RestoreMember(o, filepath.Join(dir, etcdFolder, "snap", "db"), *p); err != nil {
		return err
	}
	if err := moveUp(dir); err != nil {
		return err
	}
	h.log.Info("a folder that was restored for an etcd is taken over", "member", raftstore.FormatID(p.Self),
		"cluster", raftstore.FormatID(p.ClusterID), "members", len(p.Members), "kept", filepath.Join(dir, keptFolder))
	return finish(dir)
}

func refused(dir string, why error) error {
	return fmt.Errorf("%s holds the data of an etcd: run that etcd once more, `etcdctl snapshot save FILE`, then "+
		"`quorate snapshot restore FILE --data-dir` of an empty folder (a folder fresh from `etcdutl snapshot restore` is taken over; of this one: %w)", dir, why)
}

// forget removes what an import that was cut short has made.
func forget(dir string) error {
	list, err := raftstore.FolderFiles(), error(nil)
	for _, name := range append(list, makingFolder) {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
	}
	return err
}

// moveUp moves what was made to its place, the file that makes it a store's folder last. The emptied folder says until finish that it is
// an import's.
func moveUp(dir string) error {
	for _, name := range raftstore.FolderFiles() {
		err := os.Rename(filepath.Join(dir, makingFolder, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

func finish(dir string) error {
	if err := os.Rename(filepath.Join(dir, etcdFolder), filepath.Join(dir, keptFolder)); err != nil {
		return err
	}
	return errors.Join(syncFolder(dir), os.RemoveAll(filepath.Join(dir, makingFolder)))
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// restored reads the place of this member in the cluster that the restore was told of. It fails unless nothing but the restore has written to
// the log.
func (h *host) restored(advertise string) (*raftstore.Place, error) {
	dir := h.c.WALDir
	if dir == "" {
		dir = filepath.Join(h.c.DataDir, etcdFolder, "wal")
	}
	w, err := wal.OpenForRead(zap.NewNop(), dir, &walpb.Snapshot{})
	if err != nil {
		return nil, fmt.Errorf("the log cannot be read from its beginning: %w", err)
	}
	defer w.Close()
	meta, state, entries, err := w.ReadAll()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("the log cannot be read: %w", err)
	}
	var self pb.Metadata
	if err := proto.Unmarshal(meta, &self); err != nil {
		return nil, fmt.Errorf("the log's head: %w", err)
	}
	if state.GetTerm() != 1 || state.GetCommit() != uint64(len(entries)) {
		return nil, errors.New("an etcd has run on it")
	}
	p := &raftstore.Place{Self: self.GetNodeID(), ClusterID: self.GetClusterID()}
	for _, e := range entries {
		m, err := restoredMember(e)
		if err != nil {
			return nil, err
		}
		p.Members = append(p.Members, m)
		if m.ID == p.Self && m.PeerAddr != advertise {
			return nil, fmt.Errorf("it was restored for the peer address %s, not %s", m.PeerAddr, advertise)
		}
	}
	return p, nil
}

// restoredMember is what one entry of a restored log adds.
func restoredMember(e *raftpb.Entry) (raftstore.Member, error) {
	var change raftpb.ConfChange
	if e.GetType() != raftpb.EntryConfChange || proto.Unmarshal(e.GetData(), &change) != nil || change.GetType() != raftpb.ConfChangeAddNode {
		return raftstore.Member{}, errors.New("an etcd has run on it")
	}
	var m struct {
		ID       uint64   `json:"id"`
		PeerURLs []string `json:"peerURLs"`
		Name     string   `json:"name"`
	}
	if err := json.Unmarshal(change.GetContext(), &m); err != nil {
		return raftstore.Member{}, fmt.Errorf("a member in the log: %w", err)
	}
	if len(m.PeerURLs) == 0 {
		return raftstore.Member{}, fmt.Errorf("member %s has no peer URL", raftstore.FormatID(m.ID))
	}
	u, err := url.Parse(m.PeerURLs[0])
	if err != nil {
		return raftstore.Member{}, fmt.Errorf("member %s: %w", raftstore.FormatID(m.ID), err)
	}
	return raftstore.Member{ID: m.ID, Name: m.Name, PeerAddr: address(u)}, nil
}
