package raftstore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that is not a whole snapshot is refused by name, with the remedy, whatever is missing; the file stays.
func TestSnapshotFilesRefused(t *testing.T) {
	c := started(t, 1, nil)
	c.put(0, "k", "v")
	file := saveSnapshot(t, c.store(0))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSnapshotStatus(file); err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 1
	for name, tc := range map[string]struct {
		bytes []byte
		want  string
	}{
		"odd":     {whole[:len(whole)-100], "cut short"},
		"pages":   {whole[:8192], "cut short"},
		"half":    {whole[:4096+32], "does not match"},
		"flipped": {flipped, "does not match"},
		"nohash":  {whole[:len(whole)-32], "--skip-hash-check"},
		"foreign": {[]byte(strings.Repeat("x", 4096)), "no snapshot"},
		"empty":   {nil, "cut short"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, tc.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Dir: filepath.Join(t.TempDir(), "new"), Name: "n", Listen: "127.0.0.1:2380"}
		err := RestoreSnapshot(o, path)
		if name != "foreign" && name != "pages" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q in it", name, err, tc.want)
		}
		if !errors.Is(err, ErrSnapshotFile) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if err := RestoreDatabase(o, path); (err == nil) != (name == "nohash") {
			t.Errorf("%s as a database: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: the file is gone: %v", name, err)
		}
	}
}

// FuzzSnapshotFile: no file ends the process.
func FuzzSnapshotFile(f *testing.F) {
	f.Add([]byte(strings.Repeat("x", 4096)))
	c := started(f, 1, nil)
	_, r, err := c.store(0).Snapshot(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	whole, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = ReadSnapshotStatus(path)
	})
}
