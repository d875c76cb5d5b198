package raftstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// snapshotFolders are a member's Raft snapshots, newest last.
func (c *cluster) snapshotFolders(i int) []string {
	c.t.Helper()
	list, err := filepath.Glob(filepath.Join(c.members[i].opts.Dir, snapshotDir, "snapshots", "*-*"))
	if err != nil {
		c.t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// replaceState puts other data into a Raft snapshot, with the checksum that belongs to it.
func replaceState(t *testing.T, folder string, data []byte) {
	t.Helper()
	path := filepath.Join(folder, "meta.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var meta map[string]any
	if err := json.Unmarshal(b, &meta); err != nil {
		t.Fatal(err)
	}
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	sum.Write(data)
	meta["CRC"], meta["Size"] = sum.Sum(nil), len(data)
	if b, err = json.Marshal(meta); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.WriteFile(filepath.Join(folder, "state.bin"), data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// A member whose newest snapshot is damaged says which it is and what to do, and changes nothing: an older one without the log that follows it would lose
// what was acknowledged.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	c := started(t, 1, shortLog)
	for range 2 {
		for range 3 * minTrailing {
			c.put(0, "k", "v")
		}
		c.truncate(0)
	}
	c.kill(0)
	newest := c.snapshotFolders(0)[len(c.snapshotFolders(0))-1]
	state := filepath.Join(newest, "state.bin")
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	middle := slices.Clone(whole)
	middle[len(middle)/2] ^= 1
	foreign := bytes.Repeat([]byte("not a database. "), 4096)
	for name, spoil := range map[string]func(){
		"cut short":       func() { must(t, os.WriteFile(state, whole[:len(whole)/2], 0o600)) },
		"another byte":    func() { must(t, os.WriteFile(state, middle, 0o600)) },
		"foreign":         func() { replaceState(t, newest, foreign) },
		"half a database": func() { replaceState(t, newest, whole[:len(whole)/3]) },
	} {
		spoil()
		before, _ := os.ReadFile(state)
		s, err := Open(c.members[0].opts)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), "empty the store folder") {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(state); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	replaceState(t, newest, whole)
	c.open(0)
	c.waitReady(0)
	if got := c.get(0, "k"); got != "v" {
		t.Errorf("with the file back: %q", got)
	}
}

// Where the log goes back far enough, the older snapshot does.
func TestOlderSnapshotAndTheLog(t *testing.T) {
	t.Parallel()
	c := started(t, 1, nil)
	for _, v := range []string{"a", "b"} {
		c.put(0, "k", v)
		if err := c.store(0).node.Load().raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
	}
	c.put(0, "k", "c")
	rev := c.store(0).Header().Revision
	c.kill(0)
	newest := c.snapshotFolders(0)[1]
	must(t, os.Truncate(filepath.Join(newest, "state.bin"), 100))
	c.open(0)
	c.waitReady(0)
	if got := c.get(0, "k"); got != "c" || c.store(0).Header().Revision != rev {
		t.Errorf("%q at %d, want c at %d", got, c.store(0).Header().Revision, rev)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
