package node

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"quorate/raftstore/dcs"
)

func TestWriteThroughLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := writeThrough(dir); err != nil {
		t.Skipf("this file system has no unnamed files: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	if err := writeThrough(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a missing folder: %v", err)
	}
}

func TestRoomState(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		free, total uint64
		was, want   string
	}{
		{100 * mb, 300 * mb, "", ""},
		{63 * mb, 300 * mb, "", dcs.DiskLow},
		{31 * mb, 300 * mb, "", dcs.DiskFull},
		{63 * mb, 300 * mb, dcs.DiskFull, dcs.DiskFull}, // not mended by a file or two
		{65 * mb, 300 * mb, dcs.DiskFull, ""},
		{99 * mb, 1000 * mb, dcs.DiskLow, dcs.DiskLow},
		{255 * mb, 1 << 42, "", dcs.DiskLow}, // large file systems count by bytes, not by a share
		{257 * mb, 1 << 42, dcs.DiskFull, ""},
	} {
		if got := roomState(c.free, c.total, c.was); got != c.want {
			t.Errorf("%d of %d MB, before %q: %q, not %q", c.free/mb, c.total/mb, c.was, got, c.want)
		}
	}
}
