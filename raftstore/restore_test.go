package raftstore

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// saveSnapshot saves a member's snapshot as etcdctl does, with the checksum behind it.
func saveSnapshot(t *testing.T, s *Store) string {
	t.Helper()
	_, r, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	path := filepath.Join(t.TempDir(), "snap.db")
	if err := os.WriteFile(path, append(b, sum[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRestoreSnapshot(t *testing.T) {
	old := started(t, 1, nil)
	id := old.grant(0, 100)
	old.putLeased(0, "leased", id)
	for range 30 {
		old.put(0, "k", "v")
	}
	rev := old.store(0).Header().Revision
	file := saveSnapshot(t, old.store(0))

	c := newCluster(t, 1, nil)
	if err := RestoreSnapshot(c.members[0].opts, file); err != nil {
		t.Fatal(err)
	}
	if err := RestoreSnapshot(c.members[0].opts, file); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("restored over it: %v", err)
	}
	c.openAll()
	c.waitReady(0)
	h := c.store(0).Header()
	if h.Revision != rev || h.ClusterId == old.store(0).ClusterID() || h.MemberId == old.store(0).ID() {
		t.Errorf("header %v, the old one had revision %d", h, rev)
	}
	joiner := c.add(1)
	c.open(joiner)
	c.waitReady(joiner)
	for i := range 2 {
		if c.get(i, "k") != "v" || c.get(i, "leased") != "v" {
			t.Errorf("member %d lacks keys", i)
		}
	}
	if left := c.left(joiner, id); left < 90 {
		t.Errorf("the lease has %d s left", left)
	}
	if _, err := c.store(joiner).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: id}); err != nil {
		t.Error(err)
	}
	c.sameHash()
}

func TestRestoreRefusesDamagedFiles(t *testing.T) {
	old := started(t, 1, nil)
	file := saveSnapshot(t, old.store(0))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	for name, content := range map[string][]byte{"a bit is wrong": b, "not a snapshot": []byte("hello"), "empty": nil} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c := newCluster(t, 1, nil)
		if err := RestoreSnapshot(c.members[0].opts, file); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}
